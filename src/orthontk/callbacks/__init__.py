"""What happens while a network trains: kernels, weight drift, checkpoints, the progress bar."""

from orthontk.callbacks.checkpoints import Checkpoints
from orthontk.callbacks.ntk import NTKRecorder
from orthontk.callbacks.progress import Progress
from orthontk.callbacks.weights import WeightDrift

__all__ = ["Checkpoints", "NTKRecorder", "Progress", "WeightDrift"]
