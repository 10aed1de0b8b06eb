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
        """Adds what flows into the margins to the positions that they repeat, one axis after the other."""
        gradient = gradient.clone()  # the engine may still need the one it passed
        for pair in range(len(ctx.margins) // 2):
            before, after = ctx.margins[2 * pair : 2 * pair + 2]
            axis = gradient.dim() - 1 - pair
            size = ctx.sizes[axis]
            inner = gradient.narrow(axis, before, size)
            inner.narrow(axis, size - before, before).add_(gradient.narrow(axis, 0, before))
            inner.narrow(axis, 0, after).add_(gradient.narrow(axis, before + size, after))
            gradient = inner
        return gradient.contiguous(), None
