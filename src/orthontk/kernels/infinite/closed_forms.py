"""E[φ(u)φ(v)] and E[φ'(u)φ'(v)] in closed form, for (u, v) Gaussian with variances q₁, q₂ and correlation ρ.

Each function takes standard deviations s₁ = √q₁ and s₂ = √q₂ and ρ, which broadcast against each other, and returns the
pair (F, G). By Price's theorem G = ∂F/∂c at c = s₁s₂ρ.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from orthontk.networks import Erf

ClosedForm = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def identity(s1: Tensor, s2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """F = c, G = 1."""
    return s1 * s2 * rho, torch.ones_like(rho)


def leaky_relu(slope: float) -> ClosedForm:
    """φ(z) = (1−a)·max(z, 0) + a·z; relu is a = 0 (Cho and Saul 2009, the arc-cosine kernels).

    relu has F = s₁s₂(sin θ + (π−θ) cos θ)/2π and G = (π−θ)/2π with cos θ = ρ; the cross terms E[max(u,0) v] = c/2.
    """

    def pair(s1: Tensor, s2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        sine = torch.addcmul(rho.new_ones(()), rho, rho, value=-1).sqrt_()  # √(1 − ρ²)
        rest = torch.atan2(sine, -rho)  # π − θ; faster than acos
        weight = (1 - slope) ** 2 / (2 * math.pi)
        f = sine.addcmul_(rest, rho)
        if slope == 0:
            return f.mul_(s1 * weight).mul_(s2), rest.mul_(weight)
        return f.mul_(weight).add_(rho, alpha=slope).mul_(s1).mul_(s2), rest.mul_(weight).add_(slope)

    return pair


def erf(s1: Tensor, s2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """F = (2/π) asin(2c/√((1+2q₁)(1+2q₂))), G = (4/π)/√((1+2q₁)(1+2q₂) − 4c²) (Williams 1997).

    The arcsine is taken as an arctangent, which keeps its digits near π/2, where large variances lead.
    """
    determinant = 1 + 2 * s1**2 + 2 * s2**2 + 4 * (s1 * s2) ** 2 * ((1 - rho) * (1 + rho))  # nothing cancels as ρ → 1
    root = determinant.sqrt()
    return 2 / math.pi * torch.atan2(2 * s1 * s2 * rho, root), 4 / math.pi / root


def gelu(s1: Tensor, s2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    """φ(z) = zP(z) with P the normal distribution function and p its density.

    With B = E[P(u)P(v)] = 1/4 + asin(c/√((1+q₁)(1+q₂)))/2π and R = E[p(u)p(v)] = 1/(2π√D), D = (1+q₁)(1+q₂) − c²,
    Stein's lemma gives E[u p(u)P(v)] = cR/(1+q₁) and E[u p(u) v p(v)] = cR/D, hence

        F = cB + R(q₁q₂ − c² + c²(1/(1+q₁) + 1/(1+q₂))),   G = B + cR(1/(1+q₁) + 1/(1+q₂) + 1/D).
    """
    q1, q2, c = s1**2, s2**2, s1 * s2 * rho
    spread = (s1 * s2) ** 2 * ((1 - rho) * (1 + rho))  # q₁q₂ − c²
    determinant = 1 + q1 + q2 + spread
    both = 0.25 + torch.atan2(c, determinant.sqrt()) / (2 * math.pi)
    density = 1 / (2 * math.pi * determinant.sqrt())
    shares = 1 / (1 + q1) + 1 / (1 + q2)
    return c * both + density * (spread + c**2 * shares), both + c * density * (shares + 1 / determinant)


def closed_form(module: nn.Module) -> ClosedForm | None:
    """The closed form of an activation module, if there is one; a subclass may have another forward pass."""
    kind = type(module)
    if kind is nn.ReLU:
        return leaky_relu(0.0)
    if kind is nn.LeakyReLU:
        return leaky_relu(module.negative_slope)
    if kind is nn.GELU and module.approximate == "none":
        return gelu
    return {Erf: erf, nn.Identity: identity}.get(kind)
