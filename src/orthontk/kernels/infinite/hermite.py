"""E[φ(u)φ(v)] and E[φ'(u)φ'(v)] for analytic φ by Mehler's expansion, exact for every pair of variances at once.

With normalized Hermite polynomials h_k and a_k(q) = E[φ(√q·z) h_k(z)], b_k(q) the same for φ':

    E[φ(u)φ(v)] = Σ_k a_k(q₁) a_k(q₂) ρᵏ,   E[φ'(u)φ'(v)] = Σ_k b_k(q₁) b_k(q₂) ρᵏ.

a_k falls like exp(−d√(2k)) where φ(√q·z) has its nearest pole at height d (tanh: d = π/(2√q)), so a few dozen terms
reach float64's rounding for q up to about 1. Beyond `MOST_TERMS` the table takes over. (O'Donnell 2014, §11.2; Daniely,
Frostig, Singer 2016.)
"""

import functools
import math

import torch
from torch import Tensor

from orthontk.kernels.infinite.gaussian import Activation
from orthontk.kernels.infinite.quadrature import expectation

MOST_TERMS = 256
MOST_TERMS_OF_MANY = 1024  # where a table would have to interpolate between variances, which takes longer still
MANY = 64  # different variances
MOST_FEATURES = 2**24  # numbers, for all the variances of a layer
NEGLIGIBLE = 1e-17  # a term's share of the sum at ρ = 1
REACHES = (13.0, 26.0)  # in z: a_k's integrand is below φ(√q·z)·exp(−z²/4); the first one that makes it small is taken
SMALL = 1e-10  # at the end of the reach, beside √E[φ²]


class HermiteDual:
    """The two expectations for one activation, with `terms` terms as `terms_needed` finds them."""

    def __init__(self, phi: Activation, reach: float, step: float, terms: int) -> None:
        self.phi, self.reach, self.step, self.terms = phi, reach, step, terms

    @classmethod
    def for_variances(cls, phi: Activation, q: Tensor) -> "HermiteDual | None":
        """The expansion that holds between the smallest and the largest of `q`, or None if it needs too many terms.

        None, too, if φ grows so fast that the coefficients have no end.
        """
        extremes = torch.stack([q.min(), q.max()])
        reach = next((reach for reach in REACHES if _is_small_beyond(reach, phi, extremes)), None)
        if reach is None:
            return None
        step = 0.25 / max(1.0, math.sqrt(float(q.max())))
        terms = 16
        most = MOST_TERMS
        if len(q.unique()) > MANY:
            most = max(MOST_TERMS, min(MOST_TERMS_OF_MANY, MOST_FEATURES // (2 * q.numel())))
        while terms <= most:
            a, b = cls(phi, reach, step, 2 * terms)._coefficients(extremes)
            size = torch.maximum(_share(a), _share(b))  # (2·terms,)
            if (size[terms:] <= NEGLIGIBLE).all():
                return cls(phi, reach, step, max(2, int((size > NEGLIGIBLE).nonzero().max()) + 1))
            terms *= 2
        return None

    def features(self, q: Tensor) -> Tensor:
        """a_k and b_k for every variance: (2·terms, *q.shape)."""
        parts = [torch.cat(self._coefficients(chunk)) for chunk in q.flatten().split(16384)]
        return torch.cat(parts, dim=1).reshape(-1, *q.shape)

    def moments(self, features: Tensor) -> Tensor:
        """E[φ(√q·z)²], shaped like q."""
        return (features[: self.terms] ** 2).sum(0)

    def pair(self, features1: Tensor, features2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """(F, G) shaped like ρ, against which the trailing axes of the features broadcast."""
        a1, b1 = features1.split(self.terms)
        a2, b2 = features2.split(self.terms)
        if self.phi.is_odd:  # every second term is zero
            squared = rho * rho
            return _horner(a1[1::2], a2[1::2], squared).mul_(rho), _horner(b1[::2], b2[::2], squared)
        return _horner(a1, a2, rho), _horner(b1, b2, rho)

    def _coefficients(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """a and b, each (terms, n), for variances (n,)."""
        z, weighted = _weighted_hermite(self.reach, self.step, self.terms)  # (nodes,), (nodes, terms)
        u = q.sqrt()[:, None] * z
        return (self.phi.value(u) @ weighted).mT, (self.phi.derivative(u) @ weighted).mT


def _horner(a1: Tensor, a2: Tensor, x: Tensor) -> Tensor:
    """Σ_k a1[k]·a2[k]·xᵏ."""
    total = (a1[-1] * a2[-1]).expand_as(x).clone()
    for left, right in zip(a1[:-1].flip(0), a2[:-1].flip(0), strict=True):
        total.mul_(x).addcmul_(left, right)
    return total


def _share(a: Tensor) -> Tensor:
    """Each term's largest share of Σ a_k²: (terms, n) to (terms,)."""
    return (a**2 / (a**2).sum(0)).amax(1)


def _is_small_beyond(reach: float, phi: Activation, q: Tensor) -> bool:
    """Whether nothing of φ's or φ''s coefficients comes from beyond, for every variance."""
    ends = q.sqrt() * torch.tensor([[-reach], [reach]], dtype=torch.float64)
    sizes = [expectation(lambda u, f=f: f(u) ** 2, q).sqrt() for f in (phi.value, phi.derivative)]
    values = [f(ends).abs() * math.exp(-(reach**2) / 4) for f in (phi.value, phi.derivative)]
    # Nothing is small beside E[φ²] that overflows.
    small = [size.isfinite() & (value <= SMALL * size) for value, size in zip(values, sizes, strict=True)]
    return all(bool(each.all()) for each in small)


@functools.lru_cache(maxsize=16)
def _weighted_hermite(reach: float, step: float, terms: int) -> tuple[Tensor, Tensor]:
    """Nodes z and w(z)·h_k(z), (nodes, terms), of the trapezoid rule, which converges exponentially here.

    The recursion runs on ψ_k = exp(−z²/4) h_k, which stays bounded: h_{k+1} = (z h_k − √k h_{k−1})/√(k+1).
    """
    step = min(step, 2.5 / math.sqrt(2 * terms))  # a few nodes per oscillation of h_k
    z = torch.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1, dtype=torch.float64) * step
    half = torch.exp(-(z**2) / 4)
    psi = [half, z * half]
    for k in range(1, terms - 1):
        psi.append((z * psi[k] - math.sqrt(k) * psi[k - 1]) / math.sqrt(k + 1))
    return z, torch.stack(psi[:terms], dim=1) * (half * step / math.sqrt(2 * math.pi))[:, None]
