"""Gradients of parameters from those of the weights that are computed from them."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from orthontk.kernels.backward import BATCHED_WELL, node_names
from orthontk.kernels.parameter_functions import ParameterFunction
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.uses import Use

COPIES = 24  # of a weight, while one gradient is pulled back through a matrix exponential, which takes most
MOST_TOGETHER = 8 * 2**20  # bytes of the copies, for all directions to be pulled back together
# Autograd nodes that take all directions of a small weight faster together than in turn; of a large one none does.
_NAMES = "Dot LinalgHouseholderProduct LinalgMatrixExp Mv Reciprocal Tril Triu Vdot WeightNormInterface"
TOGETHER = BATCHED_WELL | {f"{name}Backward" for name in _NAMES.split()}


def pulled_back(
    functions: Iterable[ParameterFunction],
    uses: dict[str, list[Use]],
    deltas: list[Tensor | None],
    tensors: StandIns,
    names: list[str],
) -> dict[str, Tensor]:  # each (N, A, *shape)
    """∂fₐ(xᵢ)/∂θ for each named parameter θ that acts through `functions`, and perhaps by recorded uses besides.

    One example at a time, and of a large weight one direction: the products with (∂g/∂θ)ᵀ that take longest (matrix
    exponentials, Householder products) are no faster together, and take as many times the memory.
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
            products = _products(function, parameters, gradients[0].reshape(-1, *function.shape))
            for target, addend in zip(targets, products, strict=True):
                target += addend
    return found


def _products(function: ParameterFunction, parameters: list[Tensor], gradients: Tensor) -> list[Tensor]:
    """(∂g/∂θ)ᵀ v for each parameter θ and each of the A gradients v, (A, *shape of θ)."""

    def product(v: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad([function.edge], parameters, v, retain_graph=True, materialize_grads=True)

    if together(function, len(gradients), gradients.element_size()):
        return list(torch.func.vmap(product)(gradients))
    return [torch.stack(of_parameter) for of_parameter in zip(*map(product, gradients), strict=True)]


def together(function: ParameterFunction, directions: int, itemsize: int) -> bool:
    """Whether all directions are pulled back at once."""
    copies = directions * COPIES * math.prod(function.shape) * itemsize
    return copies <= MOST_TOGETHER and node_names(function.edge.node) <= TOGETHER
