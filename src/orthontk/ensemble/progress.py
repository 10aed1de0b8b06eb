"""One progress bar over all chunks of an ensemble."""

from collections.abc import Sequence

import pytorch_lightning as pl

from orthontk.callbacks import Progress
from orthontk.ensemble.module import EnsembleModule
from orthontk.ensemble.replicas import Replica


class EnsembleProgress(Progress):
    """Replicas' steps done, rate, time left, and means over the replicas; see `Progress`.

    Of a replica that has ended the updates it made count, and no others are left. Chunks that were done before count
    as if they had made all their steps.
    """

    def __init__(self, chunks: Sequence[tuple[int, Sequence[Replica]]]) -> None:
        super().__init__()
        self.replicas = sum(len(replicas) for _, replicas in chunks)
        self.before = 0  # replicas of chunks that are done
        self.skipped = 0  # those of them that this process has not trained
        self.made = 0  # updates of the others
        self.in_chunk = 0
        self.started = False

    def skip(self, replicas: int) -> None:
        """Count a chunk that was done before."""
        self.before += replicas
        self.skipped += replicas

    def on_train_start(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        self.in_chunk = len(pl_module.replicas) + len(pl_module.ended)
        if not self.started:
            self.started = True
            self._open(total=self._done(trainer) + self._left(trainer), initial=self._done(trainer))

    def on_train_end(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        self.made += self._made_in_chunk(trainer)
        self.before += self.in_chunk
        self.in_chunk = 0
        if self.enabled and self.before == self.replicas:
            self._update(trainer)
            self.bar.close()

    def _update(self, trainer: pl.Trainer) -> None:
        self.bar.total = self._done(trainer) + self._left(trainer)
        super()._update(trainer)

    def _done(self, trainer: pl.Trainer) -> int:
        return self.skipped * trainer.max_steps + self.made + self._made_in_chunk(trainer)

    def _made_in_chunk(self, trainer: pl.Trainer) -> int:
        module = trainer.lightning_module
        ended = sum(end["steps"] for end in module.ended.values())
        return len(module.replicas) * trainer.global_step + ended if self.in_chunk else 0

    def _left(self, trainer: pl.Trainer) -> int:
        training = len(trainer.lightning_module.replicas) if self.in_chunk else 0
        untouched = self.replicas - self.before - self.in_chunk
        return training * (trainer.max_steps - trainer.global_step) + untouched * trainer.max_steps
