"""Circular padding with a backward pass that moves every number about once.

`torch.nn.functional.pad(mode="circular")` is a series of slice assignments, whose backward passes clear and copy the
whole image several times over; with one backward pass for each output that is a tenth of a CNN's kernel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class CircularPad(torch.autograd.Function):
    """h (N, C, *positions) -> the same as F.pad(h, margins, mode="circular")."""

    @staticmethod
    def forward(ctx: FunctionCtx, h: Tensor, margins: tuple[int, ...]) -> Tensor:
        ctx.margins, ctx.sizes = margins, h.shape
        return F.pad(h, margins, mode="circular")

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        return _fold(gradient, ctx.margins, ctx.sizes), None


def _fold(gradient: Tensor, margins: tuple[int, ...], sizes: torch.Size) -> Tensor:
    """Adds what flows into the margins to the positions that they repeat: the outermost axis, then those inside it."""
    if not margins:
        return gradient
    *inner, before, after = margins
    axis = gradient.dim() - len(margins) // 2
    size = sizes[axis]
    folded = _fold(gradient.narrow(axis, before, size), tuple(inner), sizes)
    if not inner:
        last = gradient.dim() == 4 and gradient.stride(1) == 1
        folded = folded.clone(memory_format=torch.channels_last if last else torch.contiguous_format)
    for start, margin, target in ((0, before, size - before), (before + size, after, 0)):
        if margin:
            outside = _fold(gradient.narrow(axis, start, margin), tuple(inner), sizes)
            folded.narrow(axis, target, margin).add_(outside)
    return folded
