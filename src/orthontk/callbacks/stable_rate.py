"""The largest stable learning rate of a network at initialization."""

import pytorch_lightning as pl

from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.training.metrics import log_metrics


class LargestStableRate(ScheduledCallback):
    """Logs `lr/largest_stable`, of which `optimizer.lr_fraction` is a share; SPEC §4.

    For cross-entropy, which has none that holds in every state, it is the bound 4N/λ_max.
    """

    def __init__(self) -> None:
        super().__init__([0])

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        from orthontk.run.learning_rate import largest_stable_lr  # which imports the callbacks

        rate = largest_stable_lr(module.loss, module.optimizer_factory, module.network, trainer.datamodule)
        log_metrics(trainer, {"lr/largest_stable": rate}, step)
