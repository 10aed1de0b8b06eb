"""The critical line χ₁ = 1 (Poole et al. 2016; Schoenholz et al. 2017; Pennington et al. 2017)."""

import torch
from scipy.optimize import brentq
from torch import nn

from orthontk.checks import InvalidValue, number
from orthontk.kernels.infinite.gaussian import SCAN, Activation, as_activation
from orthontk.meanfield.fixed_point import length_map_slope

LEAST_BEND = 1e-13  # of the slope, root mean square: float64 leaves three digits of it
BESIDE_0 = 1e-30  # where a derivative is its limit at 0 from that side


def mean_squared_slope(activation: str | nn.Module | Activation, q: float) -> float:
    """E[φ'(√q·z)²]; at q = 0 its limit for q → 0, which for a kink at 0 is the mean of both sides."""
    phi = as_activation(activation)
    if q == 0:
        sides = torch.tensor([-1.0, 1.0], dtype=torch.float64) * BESIDE_0
        return phi.derivative(sides).square().mean().item()
    return float(phi.expectation(lambda u: phi.derivative(u) ** 2, q))


def chi_1(activation: str | nn.Module | Activation, weight_var: float, q: float) -> float:
    """χ₁ = σ_w² E[φ'(√q·z)²]: how much one layer stretches a perturbation, in the mean square.

    Above 1 nearby inputs part (chaos), below 1 they merge (order). At q = q* it is the mean squared singular value of
    one hidden layer's Jacobian.

    Raises:
        InvalidValue: a negative q, or as `length_map`.

    Source: Poole et al. 2016, eq. 8.

    >>> round(chi_1("relu", 2.0, q=0.3), 12)
    1.0
    """
    return weight_var * mean_squared_slope(activation, number("q", q, minimum=0))


def critical_point(activation: str | nn.Module | Activation, q_star: float) -> tuple[float, float]:
    """(σ_w², σ_b²) on the critical line whose fixed point is `q_star`.

    Positively homogeneous activations (relu, leaky_relu, identity) have one critical point, whatever q* is: with it
    every length is a fixed point, neither stable nor unstable.

    Raises:
        InvalidValue: criticality at `q_star` would need a negative σ_b², or q* would not be a stable fixed point of
            the length map (gelu, for some q*), or q* is so small that rounding hides how φ bends there (tanh: 1e-14),
            or φ is flat there (Softshrink: 1e-3).

    >>> weight_var, bias_var = critical_point("tanh", 0.02592)
    >>> f"{weight_var:.3f} {bias_var:.3e}"
    '1.050 2.010e-05'
    >>> critical_point("relu", 1.0)
    (2.0, 0.0)
    """
    phi = as_activation(activation)
    number("q_star", q_star, above=0)
    squared_slope = mean_squared_slope(phi, q_star)
    if squared_slope < torch.finfo(torch.float64).tiny:  # as of Softshrink between its kinks
        raise InvalidValue("q_star", q_star, "a length at which the activation is not flat")
    weight_var = 1 / squared_slope
    if phi.is_homogeneous:
        return round(weight_var, 12), 0.0
    bias_var = weight_var * _poincare_deficit(phi, q_star)
    if bias_var < 0:
        raise InvalidValue("q_star", q_star, f"a length that is critical with bias_var ≥ 0, not {bias_var:g}")
    slope = float(length_map_slope(phi, weight_var, q_star))
    if slope >= 1:
        raise InvalidValue("q_star", q_star, f"a stable fixed point of the length map, whose slope here is {slope:g}")
    return weight_var, bias_var


def _poincare_deficit(phi: Activation, q: float) -> float:
    """q·E[φ'²] − E[φ²], which is σ_b²/σ_w² on the critical line.

    At small q both terms are nearly σ² of φ's linear part, and their difference would be rounding (tanh: (4/3)q³). Of
    ψ = φ − E[φ']·u the difference is the same, as E[u·ψ] = q·E[ψ'] = 0, and the terms are as small as it is.
    """
    slope = float(phi.expectation(phi.derivative, q))
    bend = float(phi.expectation(lambda u: (phi.derivative(u) - slope) ** 2, q))
    if bend < (LEAST_BEND * slope) ** 2:
        raise InvalidValue("q_star", q, "a length at which the activation's slope varies by more than its rounding")
    return q * bend - float(phi.expectation(lambda u: (phi.value(u) - slope * u) ** 2, q))


def critical_bias_var(activation: str | nn.Module | Activation, weight_var: float) -> float:
    """σ_b² on the critical line at `weight_var`; that of the least q* where several are critical (gelu).

    `critical_point` has them all, by their q*.

    Raises:
        InvalidValue: the line does not pass `weight_var` (for tanh: σ_w² ≤ 1; for relu: all but σ_w² = 2).

    >>> f"{critical_bias_var('tanh', 1.05):.4e}"
    '2.0105e-05'
    """
    phi = as_activation(activation)
    number("weight_var", weight_var, above=0)
    if phi.is_homogeneous:
        critical = critical_point(phi, 1.0)[0]
        if abs(weight_var / critical - 1) > 1e-9:
            raise InvalidValue("weight_var", weight_var, f"{critical:g}, the only critical value of {activation}")
        return 0.0
    chi = weight_var * phi.scanned[1] - 1
    for low, high, left, right in zip(SCAN[:-1], SCAN[1:], chi[:-1], chi[1:], strict=True):
        if left * right > 0:
            continue
        q_star = _critical_length(phi, weight_var, float(low), float(high))
        bias_var = weight_var * _poincare_deficit(phi, q_star)
        if bias_var >= 0 and float(length_map_slope(phi, weight_var, q_star)) < 1:
            return bias_var
    raise InvalidValue("weight_var", weight_var, f"a value that the critical line of {activation} passes")


def _critical_length(phi: Activation, weight_var: float, low: float, high: float) -> float:
    """The q between the two at which χ₁ is 1; one of them where it is 1 there but for rounding."""

    def excess(q: float) -> float:
        return chi_1(phi, weight_var, q) - 1

    if excess(low) * excess(high) > 0:
        return min(low, high, key=lambda q: abs(excess(q)))
    return float(brentq(excess, low, high, xtol=1e-16, rtol=1e-14))
