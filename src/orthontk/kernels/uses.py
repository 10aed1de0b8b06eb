"""The ways in which a forward pass uses a parameter, and what each contributes to per-example gradients.

A use is linear in its parameter θ: z = (operation of h and θ) + (what does not depend on this use of θ). With
δ = ∂f/∂z from a backward pass, the gradient ∂fₐ(xᵢ)/∂θ is a contraction of δ with h (Novak et al. 2022, "structured
derivatives"). Uses of one parameter add up, wherever they are.

Gradients are formed for some `rows` of θ (along its first axis) at a time, (N, A, rows, *shape[1:]), so that a large
parameter needs no large memory. N is the number of examples, A of directions in output space, P of positions.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(kw_only=True)
class Use(ABC):
    """One use of one parameter.

    Attributes:
        parameter: its name.
        shape: its shape.
        scale: the factor between the parameter and what the operation was given (σ_w/√fan_in in the NTK
            parameterization).
        edge: which of the recorded δ belongs to it.
        z_shape: shape of z for one example.
    """

    parameter: str
    shape: torch.Size
    scale: float
    edge: int
    z_shape: torch.Size
    row_group = 1  # rows are formed in multiples of this
    positions = 1  # P: how many outer products make up the gradient, where it is made of these

    @property
    def kind(self) -> tuple:
        """All but its tensors: what examples that are computed alike have in common."""
        named = (f.name for f in fields(self) if f.repr and f.name != "edge")
        return type(self), *(getattr(self, name) for name in named)

    def factor(self) -> Tensor | None:
        """What δ is contracted with; computed once for all rows."""
        return None

    @abstractmethod
    def gradients(self, delta: Tensor, factor: Tensor | None, rows: slice) -> Tensor:
        """∂fₐ(xᵢ)/∂θ through this use: δ of shape (N, A, *z_shape) -> (N, A, rows, *shape[1:])."""


def kinds_of(uses: Mapping[str, list[Use]], names: Collection[str]) -> dict[str, list[tuple]]:
    """The kinds of the uses of some parameters, and which of them enter the same z."""
    edges = sorted({use.edge for name in names for use in uses[name]})
    place = {edge: number for number, edge in enumerate(edges)}
    return {name: [(*use.kind, place[use.edge]) for use in uses[name]] for name in names}


def sums_of_outer_products(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """scale · Σ_p left[…, r, p] right[…, p, c]: (B, A, R, P), (B, P, C) -> (B, A, R, C)."""
    rows = left.reshape(len(left), -1, left.shape[3])  # all directions in one product
    result = rows.new_empty(*rows.shape[:2], right.shape[2])
    torch.baddbmm(result, rows, right, beta=0, alpha=scale, out=result)
    return result.reshape(*left.shape[:3], right.shape[2])


@dataclass(kw_only=True)
class DenseUse(Use):
    """θ is W in z = W h for h of shape (N, positions…, n_in); `transposed` if the parameter holds Wᵀ."""

    inputs: Tensor = field(repr=False)
    transposed: bool

    def __post_init__(self) -> None:
        self.positions = math.prod(self.z_shape[:-1])

    def factor(self) -> Tensor:  # (N, P, n_in)
        return self.inputs.reshape(len(self.inputs), -1, self.inputs.shape[-1])

    def left(self, delta: Tensor) -> Tensor:  # (N, A, P, n_out)
        return delta.reshape(*delta.shape[:2], -1, delta.shape[-1])

    def gradients(self, delta: Tensor, factor: Tensor, rows: slice) -> Tensor:
        left, right = self.left(delta), factor
        if not self.transposed:
            return sums_of_outer_products(left[..., rows].mT, right, self.scale)
        return sums_of_outer_products(left.mT, right[..., rows], self.scale).mT

    def input_gram(self, factor1: Tensor, p: int, factor2: Tensor, q: int) -> Tensor:  # (N1, N2)
        return factor1[:, p] @ factor2[:, q].mT


def called_alike(uses: Sequence[Use]) -> bool:
    """Whether these are several calls of one dense layer, whose gradient is one sum over the positions of all."""
    if len(uses) < 2 or not all(isinstance(use, DenseUse) for use in uses):
        return False
    return len({(use.transposed, use.scale) for use in uses}) == 1


@dataclass(kw_only=True)
class EmbeddingUse(Use):
    """θ is the table (entries, features) from which z takes the rows `inputs`, (N, positions…)."""

    inputs: Tensor = field(repr=False)
    padding_index: int | None

    def __post_init__(self) -> None:
        self.positions = math.prod(self.z_shape[:-1])

    def factor(self) -> Tensor:  # (N, P)
        indices = self.inputs.reshape(len(self.inputs), -1)
        return indices if self.padding_index is None else indices.masked_fill(indices == self.padding_index, -1)

    def left(self, delta: Tensor) -> Tensor:  # (N, A, P, features)
        return delta.reshape(*delta.shape[:2], -1, delta.shape[-1])

    def gradients(self, delta: Tensor, factor: Tensor, rows: slice) -> Tensor:
        start, stop, _ = rows.indices(self.shape[0])
        examples = torch.arange(len(factor), device=factor.device).unsqueeze(1)
        chosen = (factor >= start) & (factor < stop)  # (N, P)
        targets = (examples * (stop - start) + factor - start)[chosen]
        values = self.left(delta).transpose(0, 1)[:, chosen] * self.scale  # (A, number chosen, features)
        result = values.new_zeros(len(values), len(factor) * (stop - start), self.shape[1])
        return result.index_add_(1, targets, values).unflatten(1, (len(factor), stop - start)).transpose(0, 1)

    def input_gram(self, factor1: Tensor, p: int, factor2: Tensor, q: int) -> Tensor:  # (N1, N2)
        first, second = factor1[:, p, None], factor2[None, :, q]
        return ((first == second) & (first >= 0)).to(torch.get_default_dtype())


@dataclass(kw_only=True)
class ConvolutionUse(Use):
    """θ is the weight (n_out, n_in/groups, *kernel) of a convolution of h, (N, n_in, *positions)."""

    inputs: Tensor = field(repr=False)
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # zeros before and after, for each spatial axis
    dilation: tuple[int, ...]
    groups: int

    def __post_init__(self) -> None:
        self.positions = math.prod(self.z_shape[1:])
        self.row_group = self.shape[0] // self.groups if self.groups > 1 else 1

    def factor(self) -> Tensor:  # (N, groups, P, n_in/groups · taps)
        """What each position of z sees."""
        margins = [margin for pair in reversed(self.padding) for margin in pair]
        h = (F.pad(self.inputs, margins) if any(margins) else self.inputs).contiguous()
        spatial = h.stride()[2:]
        taps = [step * dilation for step, dilation in zip(spatial, self.dilation, strict=True)]
        steps = [step * stride for step, stride in zip(spatial, self.stride, strict=True)]
        shape = (*h.shape[:2], *self.shape[2:], *self.z_shape[1:])  # (N, n_in, *kernel, *positions)
        windows = h.as_strided(shape, (*h.stride()[:2], *taps, *steps))
        return windows.reshape(len(h), self.groups, math.prod(self.shape[1:]), self.positions).mT

    def gradients(self, delta: Tensor, factor: Tensor, rows: slice) -> Tensor:
        start, stop, _ = rows.indices(self.shape[0])
        left = delta[:, :, start:stop].flatten(3)  # (N, A, rows, P)
        if self.groups == 1:
            result = sums_of_outer_products(left, factor[:, 0], self.scale)
        else:
            left = left.unflatten(2, (-1, self.row_group)).transpose(1, 2)  # (N, groups, A, rows of a group, P)
            right = factor[:, start // self.row_group : stop // self.row_group]  # (N, groups, P, columns)
            result = sums_of_outer_products(left.flatten(0, 1), right.flatten(0, 1), self.scale)
            result = result.unflatten(0, left.shape[:2]).transpose(1, 2)
        return result.reshape(*delta.shape[:2], stop - start, *self.shape[1:])


@dataclass(kw_only=True)
class SumUse(Use):
    """θ is added: z = … + θ. `broadcast` is θ's shape as z sees it, without the example's axis: (n, 1, 1), say."""

    broadcast: tuple[int, ...]

    def gradients(self, delta: Tensor, factor: Tensor | None, rows: slice) -> Tensor:
        summed = [axis + 2 for axis, size in enumerate(self.broadcast) if size == 1 and delta.shape[axis + 2] != 1]
        total = delta.sum(summed) if summed else delta
        if self.scale != 1:
            total = self.scale * total
        return total.reshape(*delta.shape[:2], *(self.shape or (1,)))[:, :, rows]


@dataclass(kw_only=True)
class ProductUse(SumUse):
    """θ multiplies: z = h ∘ θ + …; `compute_factor` gives h, such as the normalized input of a LayerNorm."""

    compute_factor: Callable[[], Tensor] = field(repr=False)

    def factor(self) -> Tensor:  # (N, *z_shape)
        return self.compute_factor()

    def gradients(self, delta: Tensor, factor: Tensor, rows: slice) -> Tensor:
        return super().gradients(delta * factor.unsqueeze(1), None, rows)
