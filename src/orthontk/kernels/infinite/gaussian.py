"""An elementwise activation as Gaussian expectations see it: φ, φ', where they bend, and E[f(√q·z)] of them."""

import copy
import functools

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.quadrature import Function, expectation, integrate
from orthontk.kernels.infinite.resolution import resolution
from orthontk.networks.activations import make_activation

SCAN = torch.logspace(-10, 8, 73, dtype=torch.float64)
MOST_UNSETTLED = 1e4  # variance up to which an activation that never settles is resolved: unit by unit of u
MOST_LEFT_OUT = 1e-10  # of an expectation, by quadrature that ends


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
        """E[φ²] and E[φ'²] at the variances `SCAN`, where fixed and critical points are looked for; ∞ if too large."""
        squares = [expectation(lambda u, f=f: f(u) ** 2, SCAN, self.cuts) for f in (self.value, self.derivative)]
        return tuple(values.nan_to_num(nan=torch.inf, posinf=torch.inf) for values in squares)

    def expectation(self, f: Function, q: float | Tensor) -> Tensor:
        """E[f(√q·z)], z ~ N(0,1), of a function f made of φ and φ', for each variance in `q`: shaped like `q`.

        Raises:
            InvalidValue: f grows so fast that the expectation rests on values beyond the quadrature's reach (exp(u)²
                from q = 93 on), or as `require_resolved`.
        """
        q = torch.as_tensor(q, dtype=torch.float64)
        self.require_finite(q.max())
        values, left_out = integrate(f, q, self.cuts)
        if not (values.isfinite() & (left_out <= MOST_LEFT_OUT)).all():
            raise self.grows_too_fast(q.max())
        self.require_resolved(q.max())
        return values

    def require_finite(self, largest: Tensor) -> None:
        """Raise InvalidValue for a variance beyond float64's range, which earlier layers' growth leads to."""
        if not largest.isfinite():
            raise self.grows_too_fast(largest)

    def require_resolved(self, largest: Tensor) -> None:
        """Raise InvalidValue for a variance above `MOST_UNSETTLED` if φ never settles, as sin(u) does not."""
        if self.resolution.settled is None and largest > MOST_UNSETTLED:
            accepted = f"pre-activations whose variance is at most {MOST_UNSETTLED:g}, not {float(largest):.3g}"
            raise self.refusal(f"one that tends to a constant or a power of u, or {accepted}")

    def grows_too_fast(self, largest: Tensor) -> InvalidValue:
        return self.refusal(
            f"one that grows more slowly, or pre-activations whose variance is below {float(largest):.3g}"
        )

    def refusal(self, accepted: str) -> InvalidValue:
        return InvalidValue("activation", type(self.module).__name__, accepted)

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


def _jumps(functions: list[Function]) -> Tensor:
    """Where any of the functions is discontinuous, found by bisection: (n,), sorted.

    A cell is halved towards its larger difference until nothing but the jump is left of it. Cells are many enough that
    two kinks rarely share one.
    """
    edges = torch.linspace(-50.0, 50.0, 4001, dtype=torch.float64) + 0.0031  # no kink sits on a cell's edge
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
