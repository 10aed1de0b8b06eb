"""Image sets and random inputs, held whole as tensors on the device."""

from orthontk.data.batches import EvaluationBatches, StepBatches
from orthontk.data.module import TensorDataModule
from orthontk.data.split import Split

__all__ = ["EvaluationBatches", "Split", "StepBatches", "TensorDataModule"]
