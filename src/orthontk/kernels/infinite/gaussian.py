"""Expectations over a Gaussian, E[f(√q·z)] with z ~ N(0,1), for any elementwise activation.

Composite Gauss–Legendre quadrature in u = √q·z: panels no longer than one unit of u (the scale on which most
activations bend) nor one standard deviation, cut where the activation or its derivatives jump or bend more sharply, so
that every piece is smooth and converges exponentially. Plain Gauss–Hermite nodes spread with √q and miss a bend at
large q.
"""

import copy
import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.resolution import NODES, resolution
from orthontk.networks.activations import make_activation

Function = Callable[[Tensor], Tensor]

REACH = 8.5  # standard deviations; the density beyond is below 1e-16
SCAN = torch.logspace(-10, 8, 73, dtype=torch.float64)
UNIFORM_UP_TO = 300.0  # in u; panels grow beyond it, which covers √q up to 32 at full resolution


class Activation:
    """φ and φ' in float64, with what quadrature needs to know of them.

    Attributes:
        kinks: (n,) where φ, φ' or φ'' jumps.
        resolution: where φ has to be looked at closely, its kinks among these places.
        cuts: (n,) where quadrature is cut: `resolution.cuts`.

    Args:
        activation: as in `orthontk.networks.make_activation`.

    Raises:
        InvalidValue: the activation has trainable parameters: one number shared by a whole layer does not average out
            as the width grows, so such a network has no deterministic kernel. Or it is not finite everywhere.

    >>> Activation("relu").kinks
    tensor([0.], dtype=torch.float64)
    """

    def __init__(self, activation: str | nn.Module) -> None:
        self.module = copy.deepcopy(make_activation(activation)).to("cpu", torch.float64)
        if any(True for _ in self.module.parameters()):
            raise InvalidValue("activation", activation, "one without trainable parameters")
        if not self.value(torch.linspace(-50, 50, 1001, dtype=torch.float64)).isfinite().all():
            raise InvalidValue("activation", activation, "one that is finite everywhere")
        self.kinks = _jumps([self.value, self.derivative, self._second_derivative])
        self.resolution = resolution([self.value, self.derivative], self.kinks)
        self.cuts = self.resolution.cuts
        positive = torch.logspace(-3, 6, 181, dtype=torch.float64)  # clipped ones are like others close to 0
        grid = torch.cat([-positive, positive])
        self.is_odd = torch.allclose(self.value(-grid), -self.value(grid), rtol=1e-14, atol=1e-15)
        self.is_homogeneous = torch.allclose(self.value(2 * grid), 2 * self.value(grid), rtol=1e-14, atol=1e-15)

    @functools.cached_property
    def scanned(self) -> tuple[Tensor, Tensor]:
        """E[φ²] and E[φ'²] at the variances `SCAN`, where fixed and critical points are looked for."""
        return tuple(expectation(lambda u, f=f: f(u) ** 2, SCAN, self.cuts) for f in (self.value, self.derivative))

    def value(self, u: Tensor) -> Tensor:
        with torch.no_grad():
            return self.module(u)

    def derivative(self, u: Tensor) -> Tensor:
        with torch.enable_grad():
            u = u.detach().clone().requires_grad_()
            return torch.autograd.grad(self.module(u).sum(), u)[0]

    def _second_derivative(self, u: Tensor) -> Tensor:
        with torch.enable_grad():
            u = u.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.module(u).sum(), u, create_graph=True)
            if not slope.requires_grad:  # piecewise linear
                return torch.zeros_like(u)
            try:
                (bend,) = torch.autograd.grad(slope.sum(), u, allow_unused=True)
            except RuntimeError:  # torch has none for Hardsigmoid and its like, which are piecewise linear
                bend = None
            return torch.zeros_like(u) if bend is None else bend


def expectation(f: Function, q: float | Tensor, kinks: Tensor | None = None, reach: float = REACH) -> Tensor:
    """E[f(√q·z)], z ~ N(0,1), for each variance in `q`.

    Args:
        f: elementwise.
        q: variances, of any shape, at least 0.
        kinks: (n,) where f or its derivatives jump, or bend sharply.
        reach: in standard deviations; what grows like exp(u) has to be looked at farther out.

    Returns:
        The expectations, shaped like `q`, in float64.

    >>> round(float(expectation(torch.square, 0.7)), 12)
    0.7
    """
    q = torch.as_tensor(q, dtype=torch.float64)
    z, w = nodes(q.flatten(), kinks, reach=reach)
    return (f(z * q.flatten().sqrt()[:, None]) * w).sum(-1).reshape(q.shape)


def nodes(
    q: Tensor,
    kinks: Tensor | None = None,
    mean: Tensor | float = 0.0,
    panel: float = 1.0,
    reach: float = REACH,
) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, each (len(q), n), with E[f(mean + √q·z)] ≈ Σ w·f(mean + √q·z) for every entry of `q`.

    Args:
        q: (m,) variances.
        kinks: (n,) in u = mean + √q·z, where f is not smooth.
        mean: (m, 1), or 0.
        panel: longest panel in u near the mean; f is taken to be analytic on that scale.
        reach: of the nodes, in standard deviations.
    """
    sigma = q.sqrt()[:, None]
    sigma = sigma.where(sigma > 0, 1.0)  # f is constant where q = 0: any panels do
    unit = sigma.clamp(max=panel)  # panel length in u near the mean
    stretch = UNIFORM_UP_TO / panel
    count = math.ceil(float(stretch * torch.asinh(reach * sigma / unit / stretch).max()))
    steps = torch.arange(-count, count + 1, dtype=torch.float64)
    edges = stretch * torch.sinh(steps / stretch) * unit / sigma  # in z
    if kinks is not None:
        edges = torch.cat([edges, (kinks - mean) / sigma], dim=-1)
    edges = edges.clamp(-reach, reach).sort(-1).values  # (len(q), panels + 1)
    x, w = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(NODES))
    half = edges.diff(dim=-1)[..., None] / 2  # (len(q), panels, 1)
    z = edges[:, :-1, None] + half * (1 + x)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return z.flatten(1), (half * w * density).flatten(1)


def _jumps(functions: list[Function], reach: float = 50.0, cells: int = 4001) -> Tensor:
    """Where any of the functions is discontinuous, found by bisection: (n,), sorted.

    A cell is halved towards its larger difference until nothing but the jump is left of it. Cells are many enough that
    two kinks rarely share one.
    """
    edges = torch.linspace(-reach, reach, cells, dtype=torch.float64) + 0.0031  # no kink sits on a cell's edge
    found = []
    for f in functions:
        left, right = edges[:-1].clone(), edges[1:].clone()
        for _ in range(60):
            middle = (left + right) / 2
            go_left = (f(middle) - f(left)).abs() > (f(right) - f(middle)).abs()
            left, right = left.where(go_left, middle), middle.where(go_left, right)
        size = (f(right) - f(left)).abs()
        found.append(((left + right) / 2)[size > 1e-6 * (1 + f(left).abs())])
    return _merged(torch.cat(found).sort().values)


def _merged(points: Tensor) -> Tensor:
    """Sorted points, those closer than rounding taken as one; what is 0 to rounding is 0."""
    points = points.where(points.abs() > 1e-12, 0.0)
    apart = torch.ones_like(points, dtype=torch.bool)
    apart[1:] = points.diff() > 1e-9
    return points[apart]


_ANALYSED: dict[tuple[type, str], Activation] = {}


def as_activation(activation: "str | nn.Module | Activation") -> Activation:
    """An `Activation` from a name, a module or itself; those of torch and ours are analysed once a process."""
    if isinstance(activation, Activation):
        return activation
    module = make_activation(activation)
    if not type(module).__module__.startswith(("torch.nn.", "orthontk.")):  # its description may not tell all
        return Activation(module)
    key = type(module), repr(module)
    if key not in _ANALYSED:
        _ANALYSED[key] = Activation(module)
    return _ANALYSED[key]
