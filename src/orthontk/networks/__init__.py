"""Fully connected and convolutional networks in the NTK and the standard parameterization."""

from orthontk.networks.activations import ACTIVATIONS, Erf, make_activation
from orthontk.networks.cnn import CNN
from orthontk.networks.fcn import FCN
from orthontk.networks.layers import Conv, Dense, WeightLayer, named_layers

__all__ = ["ACTIVATIONS", "CNN", "FCN", "Conv", "Dense", "Erf", "WeightLayer", "make_activation", "named_layers"]
