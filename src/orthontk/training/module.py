"""The LightningModule: one network, one loss, one optimizer."""

from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from orthontk.training.metrics import evaluation_metrics, log_metrics, minibatch_accuracy

Batch = tuple[Tensor, Tensor]  # inputs (N, …), labels (N,)


class TrainingModule(pl.LightningModule):
    """Trains `network`, which is already initialized.

    Args:
        network: maps (N, …) to (N, O).
        loss: maps outputs (N, O) and labels (N,) to their mean loss.
        optimizer: from parameters to an optimizer.
        schedule: from an optimizer to a learning-rate schedule that is stepped after every update; None: constant.
        config: plain settings to be kept in checkpoints.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        schedule: Callable[[Optimizer], LRScheduler] | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.optimizer_factory, self.schedule_factory = optimizer, schedule
        self.config = config
        self.loaded_steps = 0
        self.evaluations = nn.ModuleDict(
            {split: evaluation_metrics(network.out_features, split) for split in ("val", "test")}
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self.optimizer_factory(self.network.parameters())
        if self.schedule_factory is None:
            return {"optimizer": optimizer}
        schedule = {"scheduler": self.schedule_factory(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        x, y = batch
        outputs = self.network(x)
        loss = self.loss(outputs, y)
        if self.global_step % self.trainer.log_every_n_steps == 0:  # reading a metric back costs, so not every step
            self._log_minibatch(loss.detach(), minibatch_accuracy(outputs.detach(), y))
        return loss

    def _log_minibatch(self, loss: Tensor, accuracy: Tensor) -> None:
        """Log over the global batch, and stop a run whose loss is no longer a number."""
        loss, accuracy = self.trainer.strategy.reduce(torch.stack([loss.double(), accuracy]), reduce_op="mean").tolist()
        log_metrics(self.trainer, {"train/loss": loss, "train/accuracy": accuracy}, self.global_step)
        if not torch.isfinite(torch.tensor(loss)):
            self.trainer.should_stop = True

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_index: int) -> None:
        self._evaluate("test", batch)

    def on_validation_epoch_end(self) -> None:
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        self._log_evaluation("test")

    def _evaluate(self, split: str, batch: Batch) -> None:
        x, y = batch
        outputs = self.network(x)
        metrics = self.evaluations[split]
        metrics["loss"].update(self.loss(outputs, y), weight=len(y))
        metrics["accuracy"].update(outputs.squeeze(-1), y)

    def _log_evaluation(self, split: str) -> None:
        metrics = self.evaluations[split]
        values = {name: value.item() for name, value in metrics.compute().items()}
        metrics.reset()
        log_metrics(self.trainer, values, max(self.global_step, self.loaded_steps))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.loaded_steps = checkpoint["global_step"]  # Lightning does not restore its own count for a test

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
