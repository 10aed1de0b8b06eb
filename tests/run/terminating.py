"""A callback that lets a distributed run be told to end at the worst moment."""

import os
import signal
import time

import pytorch_lightning as pl

STEP = "TERMINATE_AT_STEP"


class Terminating(pl.Callback):
    """Sends SIGTERM to the first process, at the step in the environment, while the others wait in a collective."""

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: object) -> None:
        if os.environ.get(STEP) != str(trainer.global_step):
            return
        if trainer.is_global_zero:
            time.sleep(2.0)
            os.kill(os.getpid(), signal.SIGTERM)
        trainer.strategy.barrier()
