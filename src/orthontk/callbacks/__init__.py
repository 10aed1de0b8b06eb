"""What happens while a network trains: kernels, weight drift, checkpoints, the progress bar."""

from orthontk.callbacks.checkpoints import Checkpoints
from orthontk.callbacks.jacobian_spectrum import JacobianSpectrum
from orthontk.callbacks.kernel_convergence import KernelConvergence
from orthontk.callbacks.kernel_fluctuation import KernelFluctuation
from orthontk.callbacks.kernel_regression import KernelRegression
from orthontk.callbacks.ntk import NTKRecorder
from orthontk.callbacks.prediction import Prediction
from orthontk.callbacks.progress import Progress
from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.callbacks.stable_rate import LargestStableRate
from orthontk.callbacks.tau import Tau
from orthontk.callbacks.weights import WeightDrift

__all__ = [
    "Checkpoints",
    "JacobianSpectrum",
    "KernelConvergence",
    "KernelFluctuation",
    "KernelRegression",
    "LargestStableRate",
    "NTKRecorder",
    "Prediction",
    "Progress",
    "ScheduledCallback",
    "Tau",
    "WeightDrift",
]
