"""A callback that draws from the global random generators, as a user's own code may."""

import random

import numpy as np
import pytorch_lightning as pl
import torch


class RandomDraws(pl.Callback):
    """Logs what each generator draws at every step."""

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: object) -> None:
        drawn = {"torch": torch.rand(()).item(), "numpy": np.random.random(), "python": random.random()}
        for logger in trainer.loggers:
            logger.log_metrics({f"drawn/{name}": value for name, value in drawn.items()}, step=trainer.global_step)
