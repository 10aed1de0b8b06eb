"""Training as a fixed kernel predicts it: a network linearized at its initialization, or of infinite width."""

from orthontk.dynamics.cross_entropy import CrossEntropyTraining, cross_entropy
from orthontk.dynamics.mse import MSETraining, Prediction, mse
from orthontk.dynamics.stability import largest_stable_lr

__all__ = ["CrossEntropyTraining", "MSETraining", "Prediction", "cross_entropy", "largest_stable_lr", "mse"]
