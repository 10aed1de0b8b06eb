"""The LightningModule of an ensemble: a stack of networks, one loss each, one optimizer for all."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from orthontk.data.split import Split
from orthontk.ensemble.data import EnsembleData
from orthontk.ensemble.optimizer import Leaves, OptimizerFactory, clip_by_norm, distinct, keep_replicas
from orthontk.ensemble.replicas import Replica
from orthontk.ensemble.stack import StackedNetwork, replica_losses
from orthontk.training.metrics import losses_and_accuracies, minibatch_accuracy
from orthontk.training.module import Batch, ScheduleFactory, TrainingModule, evaluating


class EnsembleModule(TrainingModule):
    """Trains the replicas of a chunk, each as `TrainingModule` trains one network.

    Args:
        stack: the replicas' networks, already initialized.
        replicas: what they are, ordered by learning rate.
        loss, optimizer, schedule, config: as in `TrainingModule`.
        stop: which τ ends a replica: train_tau, test_tau, both (the later one), or None.

    Attributes:
        replicas: those that are still trained; row r of the stack is `replicas[r]`.
        ended: of those that are not, by number: `status` (diverged or stopped) and `steps`, the updates made.
    """

    def __init__(
        self,
        stack: StackedNetwork,
        replicas: Sequence[Replica],
        loss: nn.Module,
        optimizer: OptimizerFactory,
        schedule: ScheduleFactory | None = None,
        config: dict[str, Any] | None = None,
        stop: str | None = None,
    ) -> None:
        super().__init__(stack, loss, optimizer, schedule, config)
        self.stop = stop
        self.replicas = list(replicas)
        self.rates = distinct([replica.learning_rate for replica in replicas])
        self.ended: dict[int, dict[str, Any]] = {}
        self.ending: dict[int, str] = {}  # by number: what ends after the current update, and why

    @property
    def data(self) -> EnsembleData:
        return self.trainer.datamodule

    @property
    def classes(self) -> int:
        return self.data.first.classes

    def _make_leaves(self) -> Leaves:
        return Leaves(self.network, [replica.learning_rate for replica in self.replicas], self.rates)

    def configure_optimizers(self) -> dict[str, Any]:
        self.leaves = self._make_leaves()
        return self._with_schedule(self.optimizer_factory(self.leaves.parameter_groups()))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        x, y, shared = self.data.select(batch, self.replicas)
        outputs, losses, self.gradients = self.network.gradients(x, y, self.loss, shared)
        self.minibatch, self.losses = (outputs, y), losses
        self._note_finite(losses)
        if self._logs_minibatch_of(self.global_step):
            self.log_minibatch(range(len(self.replicas)), self.global_step)
        if self._looks_at_losses(self.global_step):
            self._end_diverged()
        return losses.sum()

    def backward(self, loss: Tensor) -> None:
        """Hand over the gradients that `training_step` computed, since a stack decides itself when to compute them."""
        self.leaves.place(self.gradients)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip each replica's gradient by its own norm."""
        if gradient_clip_val is None or gradient_clip_val <= 0:  # which Lightning takes for no clipping
            return
        if gradient_clip_algorithm in (None, "norm"):
            clip_by_norm(self.gradients, gradient_clip_val, self.network.batched)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def log_minibatch(self, rows: Sequence[int], step: int) -> None:
        """Log what the replicas at `rows` had on the last minibatch, before its update, as of `step`."""
        losses, accuracies = (values[list(rows)] for values in (self.losses.double(), self.accuracies_of_step()[0]))
        self.log_replicas(losses_and_accuracies("train", losses, accuracies, self.classes), step, rows)

    def _diverged_rows(self) -> list[int]:
        """Of the replicas whose loss is no longer a number."""
        return [] if self.finite is None else torch.nonzero(~self.finite).flatten().tolist()

    def _end_diverged(self) -> None:
        self.end(self._diverged_rows(), "diverged")

    def endings(self) -> dict[int, dict[str, Any]]:
        """`ended`, and the replicas that have diverged since losses were last looked at."""
        late = {"status": "diverged", "steps": self.global_step}
        return self.ended | {self.replicas[row].number: late for row in self._diverged_rows()}

    def end(self, rows: Sequence[int], status: str) -> None:
        """Let the replicas at `rows` end after the current update; the first reason stands."""
        for row in rows:
            self.ending.setdefault(self.replicas[row].number, status)

    def remove(self, numbers: Sequence[int]) -> None:
        """Drop replicas from the stack and from the optimizer's state, so that they cost nothing any more."""
        kept = [row for row, replica in enumerate(self.replicas) if replica.number not in numbers]
        self._keep(kept)
        before, self.leaves = self.leaves, self._make_leaves()
        keep_replicas(self.trainer.optimizers[0], before, self.leaves, kept)

    def _keep(self, kept: Sequence[int]) -> None:
        self.network.keep(kept)
        self.replicas = [self.replicas[row] for row in kept]
        if self.finite is not None:
            self.finite = self.finite[list(kept)]

    def log_replicas(
        self, metrics: dict[str, Tensor | Sequence[float]], step: int, rows: Sequence[int] | None = None
    ) -> None:
        """Log values of all replicas, or of those at `rows`; the progress bar shows the mean of the finite ones."""
        replicas = self.replicas if rows is None else [self.replicas[row] for row in rows]
        for name, values in metrics.items():
            values = torch.as_tensor(values, dtype=torch.float64)
            self.trainer.callback_metrics[name] = values[values.isfinite()].mean()
            for logger in self.trainer.loggers:
                logger.log_replicas(name, values.tolist(), step, replicas)

    @property
    def numbers(self) -> list[int]:
        return [replica.number for replica in self.replicas]

    def accuracies_of_step(self) -> tuple[Tensor, int]:
        """Each replica's accuracy (R,) on the minibatch of the step, before its update, and the minibatch's size."""
        return minibatch_accuracy(*self.minibatch), self.minibatch[1].shape[-1]

    def data_of_split(self, split: str) -> Split:
        return self.data.first.splits[split]

    @torch.no_grad()
    def evaluate(self, split: str, rows: Sequence[int], part: slice | None = None) -> tuple[Tensor, Tensor]:
        """Losses and accuracies (len(rows),) of some replicas on a split, or on a part of it in random order."""
        replicas = [self.replicas[row] for row in rows]
        batches = self.data.evaluation(split, part)
        dtype = next(self.network.parameters()).dtype
        totals: list[Tensor] = []
        with self.trainer.precision_plugin.forward_context(), evaluating(self.network):
            for batch in batches:
                x, y, shared = self.data.select(batch, replicas)
                totals.append(self._batch_sums(self.network.some(rows, x.to(dtype), shared), y))
        return self._of_sums(torch.stack(totals).sum(0))

    def _batch_sums(self, outputs: Tensor, y: Tensor) -> Tensor:
        """What a batch adds to the evaluation of each replica: (4, R), the `SUMS`."""
        return self._sums(outputs, y, replica_losses(self.loss, outputs, y))

    def on_validation_epoch_start(self) -> None:
        self.totals: list[Tensor] = []

    def on_test_epoch_start(self) -> None:
        self.totals = []

    def _evaluate(self, split: str, batch: Batch) -> None:
        if not self.replicas:  # Lightning validates once more after the last one has ended
            return
        x, y, shared = self.data.select(batch, self.replicas)
        self.totals.append(self._batch_sums(self.network(x, shared), y))

    def _log_evaluation(self, split: str) -> None:
        if not self.replicas:
            return
        losses, accuracies = self._of_sums(torch.stack(self.totals).sum(0))
        step = max(self.global_step, self.loaded_steps)
        self.log_replicas(losses_and_accuracies(split, losses, accuracies, self.classes), step)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["ensemble"] = {"replicas": self.numbers, "ended": self.ended}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Drop what had ended, so that the stack takes the checkpoint's tensors."""
        left = set(checkpoint["ensemble"]["replicas"])
        self.ended = dict(checkpoint["ensemble"]["ended"])
        self._keep([row for row, replica in enumerate(self.replicas) if replica.number in left])
        super().on_load_checkpoint(checkpoint)
