"""The LightningModule and what it trains with."""

from orthontk.training.losses import OneHotMSE
from orthontk.training.module import TrainingModule

__all__ = ["OneHotMSE", "TrainingModule"]
