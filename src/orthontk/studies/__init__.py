"""The paper's studies: what is measured, what is claimed of it, and how it is drawn."""

from orthontk.studies.depth_fluctuation import DepthFluctuation
from orthontk.studies.dynamical_isometry import DynamicalIsometry
from orthontk.studies.kernel_convergence import KernelConvergence
from orthontk.studies.kernel_drift import KernelDrift
from orthontk.studies.lazy_training import LazyTraining
from orthontk.studies.learning_speed import LearningSpeed
from orthontk.studies.study import Study

__all__ = [
    "DepthFluctuation",
    "DynamicalIsometry",
    "KernelConvergence",
    "KernelDrift",
    "LazyTraining",
    "LearningSpeed",
    "Study",
]
