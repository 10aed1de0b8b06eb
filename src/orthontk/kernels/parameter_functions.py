"""Weights that are computed from parameters, such as those of `torch.nn.utils.parametrizations`.

Such a weight W = g(θ) is the same for all examples. Its gradients ∂fₐ(xᵢ)/∂W come from the network's structure like
those of any weight; those of θ are their products with (∂g/∂θ)ᵀ, for which no example goes through the network again.
"""

from dataclasses import dataclass

import torch
from torch.autograd.graph import GradientEdge


@dataclass
class ParameterFunction:
    """A tensor that a forward pass computes from parameters alone.

    Attributes:
        name: that uses of it have in place of a parameter's.
        shape: its shape.
        edge: its place in the autograd graph.
        parameters: names of those that it depends on.
    """

    name: str
    shape: torch.Size
    edge: GradientEdge
    parameters: tuple[str, ...]
