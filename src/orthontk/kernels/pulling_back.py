"""Gradients of parameters from those of the weights that are computed from them."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from orthontk.kernels.backward import BATCHED_WELL, node_names
from orthontk.kernels.parameter_functions import ParameterFunction
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.uses import Use

COPIES = 24  # of a weight, while one gradient is pulled back through a matrix exponential, which takes most
MOST_TOGETHER = 8 * 2**20  # bytes of the copies of what is pulled back together
# Autograd nodes that take all gradients of a small weight faster together than in turn; of a large one none does.
_NAMES = """Abs Cat ClampMin Cos Dot Index LinalgHouseholderProduct LinalgMatrixExp LinalgVectorNorm Maximum Mv Norm
Reciprocal Sin Split SplitWithSizes Sqrt Std Tril Triu Unbind Var Vdot WeightNormInterface"""
TOGETHER = BATCHED_WELL | {f"{name}Backward" for name in _NAMES.split()}


def pulled_back(
    functions: Iterable[ParameterFunction],
    uses: dict[str, list[Use]],
    deltas: list[Tensor | None],
    tensors: StandIns,
    names: list[str],
) -> dict[str, Tensor]:  # each (N, A, *shape)
    """∂fₐ(xᵢ)/∂θ for each named parameter θ that acts through `functions`, and perhaps by recorded uses besides.

    Of a small weight many examples at a time, of a large one a single direction: the products with (∂g/∂θ)ᵀ that take
    longest (matrix exponentials, Householder products) are no faster together, and take as many times the memory.
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
        for block in _blocks(function, parameters, *found[function.parameters[0]].shape[:2]):
            gradients = sum(
                use.gradients(deltas[use.edge][block], None if factor is None else factor[block], slice(None))
                for use, factor in zip(uses[function.name], factors, strict=True)
            )
            products = _products(function, parameters, gradients.reshape(-1, *function.shape))
            for name, product in zip(function.parameters, products, strict=True):
                found[name][block] += product.unflatten(0, found[name][block].shape[:2])
    return found


def _blocks(function: ParameterFunction, parameters: list[Tensor], n: int, directions: int) -> Iterator[slice]:
    """Examples whose gradients are pulled back together."""
    largest = max(math.prod(function.shape), *(p.numel() for p in parameters)) * parameters[0].element_size()
    size = max(1, MOST_TOGETHER // (directions * COPIES * largest))
    yield from (slice(start, start + size) for start in range(0, n, size))


def _products(function: ParameterFunction, parameters: list[Tensor], gradients: Tensor) -> list[Tensor]:
    """(∂g/∂θ)ᵀ v for each parameter θ and each of the gradients v, (their number, *shape of θ)."""

    def product(v: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad([function.edge], parameters, v, retain_graph=True, materialize_grads=True)

    if together(function, len(gradients), gradients.element_size()):
        return list(torch.func.vmap(product)(gradients))
    return [torch.stack(of_parameter) for of_parameter in zip(*map(product, gradients), strict=True)]


def together(function: ParameterFunction, gradients: int, itemsize: int) -> bool:
    """Whether as many gradients are pulled back at once."""
    copies = gradients * COPIES * math.prod(function.shape) * itemsize
    return copies <= MOST_TOGETHER and node_names(function.edge.node) <= TOGETHER
