"""What happens while a network trains: kernels, weight drift, checkpoints, the progress bar."""

from orthontk.callbacks.checkpoints import Checkpoints
from orthontk.callbacks.kernel_regression import KernelRegression
from orthontk.callbacks.ntk import NTKRecorder
from orthontk.callbacks.prediction import Prediction
from orthontk.callbacks.progress import Progress
from orthontk.callbacks.tau import Tau
from orthontk.callbacks.weights import WeightDrift

__all__ = ["Checkpoints", "KernelRegression", "NTKRecorder", "Prediction", "Progress", "Tau", "WeightDrift"]
