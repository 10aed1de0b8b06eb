"""The LightningModule: one network, one loss, one optimizer."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from orthontk.data.batches import EvaluationBatches
from orthontk.data.split import Split
from orthontk.training.metrics import SUMS, evaluation_sums, is_right, log_metrics, losses_and_accuracies
from orthontk.training.whole_split import factor_among, loss_of_terms, loss_terms

Batch = tuple[Tensor, Tensor]  # inputs (N, …), labels (N,)
ScheduleFactory = Callable[[Optimizer], LRScheduler]
LOOK_EVERY = 50  # steps, at most, until a training that has diverged is noticed: reading a loss back costs


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
        schedule: ScheduleFactory | None = None,
        config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.network, self.loss = network, loss
        self.optimizer_factory, self.schedule_factory = optimizer, schedule
        self.config = config
        self.loaded_steps = 0
        self.evaluations = nn.ModuleDict({split: evaluation_sums() for split in ("val", "test")})
        self.finite: Tensor | None = None  # whether every loss so far was, None before the first one
        # An optimizer such as LBFGS evaluates a step's loss again with parameters that it has moved: none that count.
        self.first_of_step, self.evaluated_step = True, -1

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)

    def configure_optimizers(self) -> dict[str, Any]:
        return self._with_schedule(self.optimizer_factory(self.network.parameters()))

    def _with_schedule(self, optimizer: Optimizer) -> dict[str, Any]:
        if self.schedule_factory is None:
            return {"optimizer": optimizer}
        schedule = {"scheduler": self.schedule_factory(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        x, y = batch
        outputs = self.network(x)
        loss = self._of_global_batch(self.loss(outputs, y), y)
        self.first_of_step, self.evaluated_step = self.evaluated_step != self.global_step, self.global_step
        if not self.first_of_step:
            return loss
        self.minibatch = outputs.detach(), y
        self._note_finite(loss.detach())
        if self._logs_minibatch_of(self.global_step):
            self._log_minibatch(loss.detach())
        if self._looks_at_losses(self.global_step):
            self._end_diverged()
        return loss

    def on_train_start(self) -> None:
        self.evaluated_step = -1
        if self.global_step > 0 and self.finite is not None and self._looks_at_losses(self.global_step - 1):
            self._end_diverged()  # resumed from the checkpoint of a training that ended so

    def _note_finite(self, losses: Tensor) -> None:
        self.finite = losses.isfinite() if self.finite is None else self.finite.to(losses.device) & losses.isfinite()

    def _logs_minibatch_of(self, step: int) -> bool:
        """Not of every step, as reading a metric back costs; of the last one, which closing tables show."""
        return step % self.trainer.log_every_n_steps == 0 or step == self.trainer.max_steps - 1

    def _looks_at_losses(self, step: int) -> bool:
        return step % min(self.trainer.log_every_n_steps, LOOK_EVERY) == 0

    def _of_global_batch(self, loss: Tensor, labels: Tensor) -> Tensor:
        """Scaled so that its mean over processes, as of the gradients, is the loss of all processes' examples."""
        processes = self.trainer.world_size
        if processes == 1:
            return loss
        added = partial(self.trainer.strategy.reduce, reduce_op="sum")
        return loss * factor_among(processes, self.loss, labels, added)

    def _log_minibatch(self, loss: Tensor) -> None:
        """Log over the global batch."""
        sums = self.trainer.strategy.reduce(torch.stack([loss.double(), self._right_here()]), reduce_op="sum")
        loss, accuracy = (sums / sums.new_tensor([self.trainer.world_size, self._minibatch_size])).tolist()
        log_metrics(self.trainer, losses_and_accuracies("train", loss, accuracy, self.classes), self.global_step)

    def _right_here(self) -> Tensor:
        """How many inputs of this process's part of the minibatch are right: of shares, sums would be rounded."""
        return is_right(*self.minibatch).double().sum()

    @property
    def _minibatch_size(self) -> int:
        return len(self.minibatch[1]) * self.trainer.world_size

    def _end_diverged(self) -> None:
        """Stop a run whose loss is no longer a number, in any process."""
        self.finite = self.trainer.strategy.reduce(self.finite.to(self.device).double(), reduce_op="mean") == 1
        if not self.finite:
            self.trainer.should_stop = True

    # A single network is an ensemble of one, with the number 0, to callbacks that look at replicas.
    numbers: Sequence[int] = (0,)
    stop: str | None = None

    @property
    def classes(self) -> int:
        return self.trainer.datamodule.classes

    def accuracies_of_step(self) -> tuple[Tensor, int]:
        """The accuracy (1,) on the whole minibatch of the step, before its update, and the minibatch's size."""
        right = self.trainer.strategy.reduce(self._right_here(), reduce_op="sum")
        return (right / self._minibatch_size).reshape(1), self._minibatch_size

    def data_of_split(self, split: str) -> Split:
        return self.trainer.datamodule.splits[split]

    @torch.no_grad()
    def evaluate(self, split: str, rows: Sequence[int], part: slice | None = None) -> tuple[Tensor, Tensor]:
        """Loss and accuracy (1,) on a split or a part of it in random order, computed by every process alike."""
        data = self.trainer.datamodule
        batches = EvaluationBatches(data.part(split, part), data.eval_batch_size)
        totals = torch.zeros(len(SUMS), dtype=torch.float64, device=self.device)
        with self.trainer.precision_plugin.forward_context(), evaluating(self.network):
            for x, y in batches:
                outputs = self.network(x.to(next(self.network.parameters()).dtype))
                totals += self._sums(outputs, y, self.loss(outputs, y))
        loss, accuracy = self._of_sums(totals)
        return loss.reshape(1), accuracy.reshape(1)

    def _sums(self, outputs: Tensor, y: Tensor, losses: Tensor) -> Tensor:
        """What a batch with these losses (…) adds to an evaluation: (4, …), the `SUMS`."""
        right = is_right(outputs, y).double().sum(-1)
        return torch.stack([*loss_terms(self.loss, losses, y), right, torch.full_like(right, y.shape[-1])])

    def _of_sums(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Losses and accuracies (…) from the `SUMS` (4, …) of all batches."""
        loss, weight, right, examples = sums
        return loss_of_terms(self.loss, loss, weight), right / examples

    def log_replicas(self, metrics: dict[str, Sequence[float]], step: int, rows: Sequence[int] | None = None) -> None:
        """Log values of the one network that there is."""
        log_metrics(self.trainer, {name: float(values[0]) for name, values in metrics.items()}, step)

    def on_validation_epoch_start(self) -> None:
        self.evaluations["val"].set_dtype(torch.float64)  # which a move to a device would undo

    def on_test_epoch_start(self) -> None:
        self.evaluations["test"].set_dtype(torch.float64)

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
        sums = self._sums(outputs, y, self.loss(outputs, y))
        for name, value in zip(SUMS, sums, strict=True):
            self.evaluations[split][name].update(value)

    def _log_evaluation(self, split: str) -> None:
        sums = self.evaluations[split].compute()
        self.evaluations[split].reset()
        loss, accuracy = self._of_sums(torch.stack([sums[name] for name in SUMS]))
        values = losses_and_accuracies(split, loss.item(), accuracy.item(), self.classes)
        log_metrics(self.trainer, values, max(self.global_step, self.loaded_steps))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.loaded_steps = checkpoint["global_step"]  # Lightning does not restore its own count for a test
        if checkpoint.get("finite") is not None:
            self.finite = torch.tensor(checkpoint["finite"], dtype=torch.bool)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.config
        checkpoint["finite"] = None if self.finite is None else self.finite.tolist()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and each of its modules back in its own after: one may be frozen."""
    before = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        network.train(before[0][1])
        for module, training in before:
            module.training = training
