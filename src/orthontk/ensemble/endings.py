"""Replicas that end before the others: a last evaluation, then nothing of them is left."""

from pathlib import Path

import pytorch_lightning as pl

from orthontk.ensemble.module import EnsembleModule
from orthontk.ensemble.saved_replicas import save_ended
from orthontk.training.metrics import losses_and_accuracies


class Endings(pl.Callback):
    """Removes the replicas whose ending the step has brought. It comes after the callbacks that bring it.

    A replica that ends is measured as a single run that stops there: on the validation and the test set, and by the
    callbacks that measure the end. Its last minibatch is logged, too, which nobody knows beforehand.

    Args:
        keeps_weights: of what is stopped, for kernels to be computed after the fact.
    """

    def __init__(self, keeps_weights: bool = False) -> None:
        self.keeps_weights = keeps_weights

    def on_train_start(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        if not pl_module.replicas:  # resumed from where the last one had ended
            trainer.should_stop = True

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: EnsembleModule, *batch: object) -> None:
        if not pl_module.ending:
            return
        step = trainer.global_step
        rows = [row for row, replica in enumerate(pl_module.replicas) if replica.number in pl_module.ending]
        pl_module.log_minibatch(rows, step - 1)
        for split in ("val", "test"):
            if split == "test" or pl_module.data.first.val is not None:
                losses, accuracies = pl_module.evaluate(split, rows)
                measured = losses_and_accuracies(split, losses, accuracies, pl_module.classes)
                pl_module.log_replicas(measured, step, rows)
        for callback in trainer.callbacks:
            if hasattr(callback, "on_replicas_end"):
                callback.on_replicas_end(trainer, pl_module, rows)
        for row in rows if self.keeps_weights else ():
            replica = pl_module.replicas[row]
            if pl_module.ending[replica.number] != "diverged":
                save_ended(Path(trainer.default_root_dir), replica, pl_module.network, row, step)
        for number, status in pl_module.ending.items():
            pl_module.ended[number] = {"status": status, "steps": step}
        pl_module.remove([*pl_module.ending])
        pl_module.ending = {}
        trainer.should_stop = not pl_module.replicas
