"""Checkpoints of a chunk, which hold it whole: parameters, optimizer, what has ended, what τ are known."""

import pytorch_lightning as pl

from orthontk.callbacks import Checkpoints


class ChunkCheckpoints(Checkpoints):
    """Checkpoints as of a single run, but none at a chunk's end unless all are kept: what it measured is written then.

    The weights of a large ensemble are tens of gigabytes that nothing reads again.
    """

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.keep == "all":
            super().on_fit_end(trainer, pl_module)
