"""The ways in which a forward pass uses a parameter, and what each contributes to per-example gradients.

A use is linear in its parameter θ: z = (operation of h and θ) + (what does not depend on this use of θ). With
δ = ∂f/∂z from a batched backward pass, the gradient ∂fₐ(xᵢ)/∂θ is a contraction of δ with h (Novak et al. 2022,
"structured derivatives"). Uses of one parameter add up, wherever they are.
"""

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass
class Use:
    """One use of one parameter.

    Attributes:
        parameter: its name.
        shape: its shape.
        scale: the factor between the parameter and what the operation was given (σ_w/√fan_in in the NTK
            parameterization).
        edge: which of the recorded pre-activation gradients δ belongs to it.
    """

    parameter: str
    shape: torch.Size
    scale: float
    edge: int

    def gradients(self, delta: Tensor) -> Tensor:  # (O, N, *z.shape[1:]) -> (O, N, *shape)
        """∂fₐ(xᵢ)/∂θ through this use."""
        raise NotImplementedError


@dataclass
class DenseUse(Use):
    """θ is W in z = W h for h of shape (N, positions…, n_in); `transposed` if the parameter holds Wᵀ."""

    inputs: Tensor = field(repr=False)
    transposed: bool

    def gradients(self, delta: Tensor) -> Tensor:
        left, right = delta.flatten(2, -2), self.inputs.flatten(1, -2)  # (O, N, P, n_out), (N, P, n_in)
        if delta.dim() == 3:
            left, right = delta.unsqueeze(2), self.inputs.unsqueeze(1)
        if self.transposed:
            return torch.einsum("anpr,npc->ancr", left, right).mul_(self.scale)
        return torch.einsum("anpr,npc->anrc", left, right).mul_(self.scale)


@dataclass
class ConvolutionUse(Use):
    """θ is the weight (n_out, n_in/groups, *kernel) of a convolution of h, (N, n_in, *positions)."""

    inputs: Tensor = field(repr=False)
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]  # before and after, for each spatial axis
    dilation: tuple[int, ...]
    groups: int

    def patches(self) -> Tensor:  # (N, groups, positions, n_in/groups · taps)
        """What each position of the output sees."""
        margins = [margin for pair in reversed(self.padding) for margin in pair]
        h = F.pad(self.inputs, margins).contiguous() if any(margins) else self.inputs.contiguous()
        kernel = self.shape[2:]
        reach = [d * (k - 1) for d, k in zip(self.dilation, kernel, strict=True)]
        sizes = [(n - r - 1) // s + 1 for n, r, s in zip(h.shape[2:], reach, self.stride, strict=True)]
        outer, inner, spatial = h.shape[0], h.shape[1], h.stride()[2:]
        steps = [a * s for a, s in zip(spatial, self.stride, strict=True)]
        taps = [a * d for a, d in zip(spatial, self.dilation, strict=True)]
        windows = h.as_strided((outer, inner, *kernel, *sizes), (*h.stride()[:2], *taps, *steps))
        return windows.reshape(outer, self.groups, self.shape[1] * math.prod(kernel), math.prod(sizes)).mT

    def gradients(self, delta: Tensor) -> Tensor:
        left = delta.reshape(*delta.shape[:2], self.groups, self.shape[0] // self.groups, -1)  # (O, N, g, n/g, P)
        return (left @ self.patches()).reshape(*delta.shape[:2], *self.shape).mul_(self.scale)


@dataclass
class SumUse(Use):
    """θ is added: z = … + θ, broadcast along every axis that `axes` does not name (axes of z, the example's is 0)."""

    axes: tuple[int, ...]

    def gradients(self, delta: Tensor) -> Tensor:
        summed = [axis for axis in range(2, delta.dim()) if axis - 1 not in self.axes]
        total = delta.sum(summed) if summed else delta
        return (self.scale * total).reshape(*delta.shape[:2], *self.shape)
