"""Where every metric goes: the loggers, the progress bar, and callbacks that monitor one.

A metric's step is the number of updates made before it was measured. Minibatch metrics of step k are those of the
(k+1)-th minibatch, measured before its own update.
"""

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import BinaryAccuracy, MulticlassAccuracy


def log_metrics(trainer: pl.Trainer, metrics: dict[str, float], step: int) -> None:
    """Hand `metrics` to every logger as of `step`, and to callbacks that monitor `trainer.callback_metrics`."""
    trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step)


def accuracy_metric(out_features: int) -> MulticlassAccuracy | BinaryAccuracy:
    """Share of inputs whose largest output is the label's; with one output, whose sign is."""
    if out_features == 1:
        return BinaryAccuracy(threshold=0.0)
    return MulticlassAccuracy(out_features, average="micro")


def minibatch_accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The same for one minibatch, without the cost of a metric's state. Shapes (..., N, O), (..., N) -> (...)."""
    predictions = outputs[..., 0] > 0 if outputs.shape[-1] == 1 else outputs.argmax(-1)
    return (predictions == labels).double().mean(-1)


def evaluation_metrics(out_features: int, prefix: str) -> MetricCollection:
    """Loss and accuracy over a whole set, exact also when its last batch is smaller."""
    return MetricCollection({"loss": MeanMetric(), "accuracy": accuracy_metric(out_features)}, prefix=f"{prefix}/")
