"""Where a quadrature has to be cut finely for an activation's sake, found by interpolating it between nodes."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

REACH = 50.0  # in u; sharp bends are looked for up to here
NODES = 10  # of the quadrature, in each panel
RESOLVED = 1e-6  # of an activation's size, of interpolation: a Gauss rule's error is about its square
HALVINGS = 16
SETTLED = (8.0, 16.0, 32.0)  # in u; from the first of these that will do, panels may double
DOUBLINGS = 40
FEW = 8  # sharp bends; an activation with more of them bends sharply everywhere, as sin(10u) does


class Resolution(NamedTuple):
    """How closely an activation has to be looked at, in u = √q·z.

    Attributes:
        cuts: (n,) its kinks, and edges of panels that narrow towards sharp bends such as that of Softplus(beta=50).
        bends: (m,) its kinks and sharp bends.
        panel: the longest panel that resolves it away from its bends, at most 1.
        sharpest: the panel that resolves the sharpest bend.
        settled: |u| beyond which panels that double in length, or grow more slowly, resolve it as well (tanh is
            constant there, SiLU linear); None if there is no such place, as for sin(u) and exp(u).
    """

    cuts: Tensor
    bends: Tensor
    panel: float
    sharpest: float
    settled: float | None


def resolution(functions: Sequence[Callable[[Tensor], Tensor]], kinks: Tensor) -> Resolution:
    """Halve panels of unit length, cut at the kinks, until every function is interpolated well in each."""
    edges = torch.cat([torch.arange(-REACH, REACH + 1, dtype=torch.float64), kinks]).unique()
    low, high = edges[:-1], edges[1:]
    sizes = [f(torch.linspace(-3, 3, 61, dtype=torch.float64)).abs().max() for f in functions]
    bends, length, halved = kinks[:0], 1.0, []
    for _ in range(HALVINGS):
        coarse = [_is_coarse(f, low, high, size) for f, size in zip(functions, sizes, strict=True)]
        coarse = torch.stack(coarse).any(0) & (high - low > 1e-9)
        if not coarse.any():
            break
        low, high = low[coarse], high[coarse]
        bends, length = (low + high) / 2, float((high - low).min()) / 2
        halved.append(bends)
        low, high = torch.cat([low, bends]), torch.cat([bends, high])
    cuts = torch.cat([kinks, *halved]).unique()
    settled = _settled(functions, cuts, sizes)
    if len(bends) > FEW:
        return Resolution(cuts, kinks, length, length, settled)
    return Resolution(cuts, torch.cat([kinks, bends]).unique(), 1.0, length, settled)


def _settled(functions: Sequence[Callable[[Tensor], Tensor]], cuts: Tensor, sizes: Sequence[Tensor]) -> float | None:
    for start in SETTLED:
        edges = start * 2.0 ** torch.arange(DOUBLINGS + 1, dtype=torch.float64)
        low, high = torch.cat([edges[:-1], -edges[1:]]), torch.cat([edges[1:], -edges[:-1]])
        is_smooth = all(not _is_coarse(f, low, high, size).any() for f, size in zip(functions, sizes, strict=True))
        if is_smooth and (cuts.abs() < start).all():
            return start
    return None


def _is_coarse(f: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, size: Tensor) -> Tensor:
    """Where f interpolated at a panel's Gauss nodes is wrong between them or at its ends: (panels,).

    Measured against its `size` near 0, or in the panel if it is larger there: the rounding of exp(u) alone outgrows 1.
    """
    x = torch.from_numpy(np.polynomial.legendre.leggauss(NODES)[0])
    between = torch.cat([x.new_tensor([-0.999]), (x[1:] + x[:-1]) / 2, x.new_tensor([0.999])])
    interpolation = torch.linalg.solve(_powers(x).mT, _powers(between).mT)  # (nodes, points)
    values, wanted = (f(low[:, None] + (high - low)[:, None] * (1 + points) / 2) for points in (x, between))
    return (values @ interpolation - wanted).abs().amax(1) > RESOLVED * values.abs().amax(1).clamp(min=size)


def _powers(x: Tensor) -> Tensor:
    """Legendre polynomials of all degrees that the nodes determine: (n, nodes)."""
    return torch.from_numpy(np.polynomial.legendre.legvander(x.numpy(), NODES - 1))
