"""Expectations over a Gaussian, E[f(√q·z)] with z ~ N(0,1), for any elementwise f.

Composite Gauss–Legendre quadrature in u = √q·z: panels no longer than one unit of u (the scale on which most
activations bend) nor one standard deviation, cut where the activation or its derivatives jump or bend more sharply, so
that every piece is smooth and converges exponentially. Plain Gauss–Hermite nodes spread with √q and miss a bend at
large q.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from orthontk.kernels.infinite.resolution import NODES

Function = Callable[[Tensor], Tensor]

REACH = 8.5  # standard deviations; the density beyond is below 1e-16
REACHES = (REACH, 13.0, 26.0)  # for what grows like exp(u), which has to be looked at farther out
NEGLIGIBLE = 1e-13  # of an expectation, left out beyond the reach
UNIFORM_UP_TO = 300.0  # in u; panels grow beyond it, which covers √q up to 32 at full resolution
NODES_AT_ONCE = 2**22


def expectation(f: Function, q: float | Tensor, kinks: Tensor | None = None, reach: float | None = None) -> Tensor:
    """E[f(√q·z)], z ~ N(0,1), for each variance in `q`.

    Args:
        f: elementwise.
        q: variances, of any shape, at least 0.
        kinks: (n,) where f or its derivatives jump, or bend sharply.
        reach: in standard deviations; if not given, the first of `REACHES` beyond which nothing counts, or the last.

    Returns:
        The expectations, shaped like `q`, in float64.

    >>> round(float(expectation(torch.square, 0.7)), 12)
    0.7
    """
    return integrate(f, q, kinks, REACHES if reach is None else (reach,))[0]


def integrate(
    f: Function, q: float | Tensor, kinks: Tensor | None = None, reaches: Sequence[float] = REACHES
) -> tuple[Tensor, Tensor]:
    """`expectation`, and what share of E|f| is left out (NaN past float64's range): each shaped like `q`."""
    q = torch.as_tensor(q, dtype=torch.float64)
    for reach in reaches:
        parts = [_within(f, chunk, kinks, reach) for chunk in q.flatten().split(_rows(q, reach))]
        values, left_out = (torch.cat(part).reshape(q.shape) for part in zip(*parts, strict=True))
        if (left_out <= NEGLIGIBLE).all():
            break
    return values, left_out


def _within(f: Function, q: Tensor, kinks: Tensor | None, reach: float) -> tuple[Tensor, Tensor]:
    z, w = nodes(q, kinks, reach=reach)
    root = q.sqrt()[:, None]
    values = f(z * root) * w
    ends = f(root * z.new_tensor([-reach, reach])).abs().amax(1) * math.exp(-(reach**2) / 2)
    return values.sum(1), torch.where(ends == 0, ends, ends / values.abs().sum(1))


def _rows(q: Tensor, reach: float) -> int:
    """How many variances are integrated at once."""
    largest = float(q.max()) if q.numel() else 0.0
    panels = 2 * UNIFORM_UP_TO * math.asinh(reach * math.sqrt(largest) / UNIFORM_UP_TO) + 4 * reach
    return max(1, int(NODES_AT_ONCE / (NODES * panels)))


def nodes(
    q: Tensor,
    kinks: Tensor | None = None,
    mean: Tensor | float = 0.0,
    panel: float = 1.0,
    reach: float = REACH,
    uniform_up_to: float = UNIFORM_UP_TO,
) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, each (len(q), n), with E[f(mean + √q·z)] ≈ Σ w·f(mean + √q·z) for every entry of `q`.

    Args:
        q: (m,) variances.
        kinks: (n,) in u = mean + √q·z, where f is not smooth.
        mean: (m, 1), or 0.
        panel: longest panel in u near the mean; f is taken to be analytic on that scale.
        reach: of the nodes, in standard deviations.
        uniform_up_to: in u, from the mean; panels grow in proportion to the distance beyond it.
    """
    sigma = q.sqrt()[:, None]
    sigma = sigma.where(sigma > 0, 1.0)  # f is constant where q = 0: any panels do
    unit = sigma.clamp(max=panel)  # panel length in u near the mean
    stretch = uniform_up_to / panel
    count = math.ceil(float(stretch * torch.asinh(reach * sigma / unit / stretch).max()))
    steps = torch.arange(-count, count + 1, dtype=torch.float64)
    edges = stretch * torch.sinh(steps / stretch) * unit / sigma  # in z
    if kinks is not None:
        edges = torch.cat([edges, (kinks - mean) / sigma], dim=-1)
    return on_panels(edges, reach)


def on_panels(edges: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w of Gauss rules between all neighbouring edges within the reach: (m, p) to (m, n) each."""
    edges = edges.clamp(-reach, reach).sort(-1).values  # (m, panels + 1)
    x, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(NODES))
    half = edges.diff(dim=-1)[..., None] / 2  # (m, panels, 1)
    z = edges[:, :-1, None] + half * (1 + x)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return z.flatten(1), (half * w * density).flatten(1)
