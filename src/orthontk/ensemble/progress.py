"""One progress bar over all chunks of an ensemble."""

from collections.abc import Sequence

import pytorch_lightning as pl

from orthontk.callbacks import Progress
from orthontk.ensemble.module import EnsembleModule
from orthontk.ensemble.replicas import Replica


class EnsembleProgress(Progress):
    """Replicas' steps done, rate, time left, and means over the replicas; see `Progress`.

    A replica that has ended counts as if it had made all its steps.
    """

    def __init__(self, chunks: Sequence[tuple[int, Sequence[Replica]]]) -> None:
        super().__init__()
        self.replicas = sum(len(replicas) for _, replicas in chunks)
        self.before = 0  # replicas of chunks that are done
        self.started = False

    def skip(self, replicas: int) -> None:
        """Count a chunk that was done before."""
        self.before += replicas

    def on_train_start(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        self.in_chunk = len(pl_module.replicas) + len(pl_module.ended)
        if not self.started:
            self.started = True
            self._open(total=self.replicas * trainer.max_steps, initial=self._done(trainer))

    def on_train_end(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        self.before += self.in_chunk
        self.in_chunk = 0
        if self.enabled and self.before == self.replicas:
            self._update(trainer)
            self.bar.close()

    def _done(self, trainer: pl.Trainer) -> int:
        ended = len(trainer.lightning_module.ended)
        in_chunk = (self.in_chunk - ended) * trainer.global_step + ended * trainer.max_steps if self.in_chunk else 0
        return self.before * trainer.max_steps + in_chunk
