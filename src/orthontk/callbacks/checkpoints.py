"""Checkpoints that a run resumes from, taken only when everything that belongs to their step is on disk."""

import pytorch_lightning as pl

from orthontk.checks import integer, one_of
from orthontk.run.checkpoint_files import checkpoint_path, saved_step
from orthontk.slurm.interruption import Interrupted, is_requested


class Checkpoints(pl.callbacks.Checkpoint):
    """Writes `checkpoints/step-<k>.ckpt` in the run directory.

    Lightning runs `Checkpoint` callbacks after all others, and validates after `on_train_batch_end`. So at a step with
    a validation the checkpoint waits for its end: nothing of step k is then left to do by a run that resumes from k.
    A run that SLURM is about to end saves at the step it is at, and leaves.

    Args:
        every_n_steps: interval; the last step is always kept.
        keep: "last" removes the previous checkpoint once the next is written, "all" keeps every one, and that of the
            initial network, whose kernel others are compared with.
    """

    def __init__(self, every_n_steps: int = 100, keep: str = "last") -> None:
        self.every_n_steps = integer("every_n_steps", every_n_steps)
        self.keep = one_of("keep", keep, ("last", "all"))
        self.last_saved = -1  # asked of the disk, processes could differ in the answer and wait for each other

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.keep == "all" and trainer.global_step == 0:
            self._save(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: object) -> None:
        if not _validates_now(trainer):
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn == "fit":
            self._save_if_due(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.last_saved != trainer.global_step:
            self._save(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        is_interrupted = is_requested(trainer.strategy)
        if is_interrupted or trainer.global_step % self.every_n_steps == 0:
            self._save(trainer)
        if is_interrupted:
            raise Interrupted

    def _save(self, trainer: pl.Trainer) -> None:
        for logger in trainer.loggers:
            logger.save()  # a resumed run drops rows after the checkpoint, and cannot recompute those before it
        self.last_saved = trainer.global_step
        path = checkpoint_path(trainer.default_root_dir, trainer.global_step)
        partial = path.with_suffix(".partial")
        trainer.save_checkpoint(partial)  # by every process; Lightning writes in place, and a killed one half of it
        if not trainer.is_global_zero:
            return
        partial.replace(path)
        for older in set(path.parent.glob("step-*.ckpt")) - {path}:
            if self.keep == "last" or saved_step(older) % self.every_n_steps != 0:  # an interruption's
                older.unlink()


def _validates_now(trainer: pl.Trainer) -> bool:
    return trainer.enable_validation and trainer.global_step % trainer.val_check_interval == 0
