"""Weights that are computed from parameters, such as those of `torch.nn.utils.parametrizations`.

Such a weight W = g(θ) is the same for all examples. Its gradients ∂fₐ(xᵢ)/∂W come from the network's structure like
those of any weight; those of θ are their products with (∂g/∂θ)ᵀ, for which no example goes through the network again.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from orthontk.kernels.parameters import StandIns
from orthontk.kernels.uses import Use


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
    parameters: tuple[str, ...] = ()


def pulled_back(
    functions: Iterable[ParameterFunction],
    uses: dict[str, list[Use]],
    deltas: list[Tensor | None],
    tensors: StandIns,
    names: list[str],
) -> dict[str, Tensor]:  # each (N, A, *shape)
    """∂fₐ(xᵢ)/∂θ for each named parameter θ that acts through `functions`, and perhaps by recorded uses besides.

    One product with (∂g/∂θ)ᵀ at a time: for the functions that take longest (matrix exponentials, Householder products)
    many at a time are no faster, and take as many times the memory.
    """
    found: dict[str, Tensor] = {}
    for name in names:
        n, directions = next(delta.shape[:2] for delta in deltas if delta is not None)
        found[name] = tensors.trainable[name].new_zeros(n, directions, *tensors.trainable[name].shape)
        for use in uses[name]:
            found[name] += use.gradients(deltas[use.edge], use.factor(), slice(None)).view_as(found[name])
    for function in functions:
        parameters = [tensors.trainable[name] for name in function.parameters]
        factors = [use.factor() for use in uses[function.name]]
        for i, targets in enumerate(zip(*(found[name] for name in function.parameters), strict=True)):
            example = slice(i, i + 1)
            gradients = sum(
                use.gradients(deltas[use.edge][example], None if factor is None else factor[example], slice(None))
                for use, factor in zip(uses[function.name], factors, strict=True)
            )
            for a, gradient in enumerate(gradients[0]):
                of_parameters = torch.autograd.grad(
                    [function.edge], parameters, gradient.reshape(function.shape), retain_graph=True, allow_unused=True
                )
                for target, addend in zip(targets, of_parameters, strict=True):
                    if addend is not None:
                        target[a] += addend
    return found
