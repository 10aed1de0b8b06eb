"""Which way to compute an activation's expectations: closed form, Mehler's expansion, or a table."""

import math
from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor

from orthontk.kernels.infinite.closed_forms import ClosedForm, closed_form
from orthontk.kernels.infinite.gaussian import MOST_UNSETTLED, Activation
from orthontk.kernels.infinite.hermite import HermiteDual
from orthontk.kernels.infinite.quadrature import REACH, expectation
from orthontk.kernels.infinite.table import TableDual

MOST_SETTLED = 1e16  # variance; beyond, expectations change with ρ where float64 cannot tell it from 1
MOST_BEYOND = 1e-7  # of E[φ²] or E[φ'²], left out by quadrature that ends


class Dual(Protocol):
    """The map from covariances of pre-activations to those of activations (Daniely, Frostig, Singer 2016)."""

    def features(self, q: Tensor) -> Tensor:
        """What `pair` needs to know of every variance: (features, *q.shape)."""

    def moments(self, features: Tensor) -> Tensor:
        """E[φ(√q·z)²], shaped like q."""

    def pair(self, features1: Tensor, features2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """E[φ(u)φ(v)] and E[φ'(u)φ'(v)], shaped like ρ."""


class ClosedFormDual:
    """A closed form, whose one feature is the standard deviation."""

    def __init__(self, form: ClosedForm) -> None:
        self.form = form

    def features(self, q: Tensor) -> Tensor:
        return q.sqrt()[None]

    def moments(self, features: Tensor) -> Tensor:
        return self.form(features[0], features[0], torch.ones_like(features[0]))[0]

    def pair(self, features1: Tensor, features2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        return self.form(features1[0], features2[0], rho)


def make_dual(phi: Activation, q: Tensor, earlier: Iterable[Dual] = ()) -> Dual:
    """The most accurate of the three for an activation and all the variances q > 0 that will be asked for.

    Tables over many variances take seconds to make: one among the `earlier` that holds for these q as well is used
    again.

    Raises:
        InvalidValue: the activation grows so fast that its expectations rest on values beyond the quadrature's reach,
            or a variance is above 1e16, or above 1e4 for an activation that varies as much at any distance from 0.
    """
    form = closed_form(phi.module)
    if form is not None:
        return ClosedFormDual(form)
    largest = q.max()
    phi.require_finite(largest)
    analytic = phi.resolution.sharpest == 1 and len(phi.kinks) == 0 and bool(largest <= MOST_UNSETTLED)
    expansion = HermiteDual.for_variances(phi, q) if analytic else None
    if expansion is not None:
        return expansion
    _require_within_reach(phi, largest)
    phi.require_resolved(largest)
    if largest > MOST_SETTLED:
        accepted = f"pre-activations whose variance is at most {MOST_SETTLED:g}, not {float(largest):.3g}"
        raise phi.refusal(f"one whose expectations have a closed form, or {accepted}")
    fit = (dual for dual in earlier if isinstance(dual, TableDual) and dual.holds_for(phi, q))
    return next(fit, None) or TableDual(phi, q)


def _require_within_reach(phi: Activation, q: Tensor) -> None:
    """Refuse what grows like exp(u), but for small variances; a threshold far beyond them is nothing to refuse."""
    ends = q.sqrt() * torch.tensor([-REACH, REACH], dtype=torch.float64)
    for f in (phi.value, phi.derivative):
        beyond = f(ends).square().max() * math.exp(-(REACH**2) / 2)
        within = torch.maximum(expectation(lambda u, f=f: f(u) ** 2, q, phi.cuts, REACH), q)
        if not (within.isfinite() and beyond <= MOST_BEYOND * within):
            raise phi.grows_too_fast(q)
