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
    """Adds what flows into the margins to the positions that they repeat, one axis after another, the last one first.

    A view of the copy that it works in.
    """
    folded = gradient.clone()
    for place, (before, after) in enumerate(zip(margins[::2], margins[1::2], strict=True), 1):
        axis, size = -place, sizes[-place]
        inside = folded.narrow(axis, before, size)
        if before:
            inside.narrow(axis, size - before, before).add_(folded.narrow(axis, 0, before))
        if after:
            inside.narrow(axis, 0, after).add_(folded.narrow(axis, before + size, after))
        folded = inside
    return folded
