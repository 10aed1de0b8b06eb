"""Where every metric goes: the loggers, the progress bar, and callbacks that monitor one.

A metric's step is the number of updates made before it was measured. Minibatch metrics of step k are those of the
(k+1)-th minibatch, measured before its own update.
"""

from collections.abc import Callable
from typing import TypeVar

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import MetricCollection, SumMetric

T = TypeVar("T", float, Tensor)
SUMS = ("loss", "weight", "right", "examples")  # of an evaluation; the first two are what `loss_terms` says


def log_metrics(trainer: pl.Trainer, metrics: dict[str, float], step: int) -> None:
    """Hand `metrics` to every logger as of `step`, and to callbacks that monitor `trainer.callback_metrics`."""
    trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step)


def log_computed(trainer: pl.Trainer, compute: Callable[[], dict[str, float]], step: int) -> None:
    """Log what `compute` returns; an ensemble does so once all replicas are there, for several of them at once."""
    if hasattr(trainer, "log_later"):
        trainer.log_later(compute, step)
    else:
        log_metrics(trainer, compute(), step)


def is_right(outputs: Tensor, labels: Tensor) -> Tensor:
    """Whether the largest output is the label's; with one output, whether its sign is.

    Shapes (..., N, O), (..., N) -> (..., N). Outputs that are not finite, as after a divergence, are never right.

    >>> import math
    >>> is_right(torch.tensor([[3.0, 1.0], [math.nan, 1.0]]), torch.tensor([0, 0])).tolist()
    [True, False]
    """
    predictions = outputs[..., 0] > 0 if outputs.shape[-1] == 1 else outputs.argmax(-1)
    return (predictions == labels) & outputs.isfinite().all(-1)


def minibatch_accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """Share of inputs that are right, (..., N, O), (..., N) -> (...)."""
    return is_right(outputs, labels).double().mean(-1)


def losses_and_accuracies(split: str, losses: T, accuracies: T, classes: int) -> dict[str, T]:
    """By name, the metrics of a split; of a single class, whatever is said is right or wrong without meaning.

    >>> losses_and_accuracies("test", 0.5, 1.0, classes=1)
    {'test/loss': 0.5}
    """
    return {f"{split}/loss": losses} | ({f"{split}/accuracy": accuracies} if classes > 1 else {})


def evaluation_sums() -> MetricCollection:
    """What an evaluation adds up over its batches, and over the processes that share them; not in order of `SUMS`."""
    return MetricCollection({name: SumMetric(nan_strategy="disable") for name in SUMS}, compute_groups=False)
