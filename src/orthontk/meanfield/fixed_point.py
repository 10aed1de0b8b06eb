"""The length map q ↦ σ_w² E[φ(√q·z)²] + σ_b² and its stable fixed point (Poole et al. 2016, eq. 3)."""

import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from orthontk.checks import InvalidValue, number
from orthontk.kernels.infinite.gaussian import SCAN, Activation, as_activation

ROUNDING = 1e-11  # relative


def length_map(
    activation: str | nn.Module | Activation, weight_var: float, bias_var: float, q: float | Tensor
) -> Tensor:
    """σ_w² E[φ(√q·z)²] + σ_b²: the variance of the next pre-activations, shaped like `q`.

    Raises:
        InvalidValue: φ grows too fast for q (exp(u) from 93 on), or never settles and q is above 1e4, as sin(u).
    """
    phi = as_activation(activation)
    return weight_var * phi.expectation(lambda u: phi.value(u) ** 2, q) + bias_var


def length_map_slope(activation: str | nn.Module | Activation, weight_var: float, q: float | Tensor) -> Tensor:
    """∂(length map)/∂q = σ_w² E[φ φ' u]/q with u = √q·z, by integration by parts; q > 0.

    Below 1 a fixed point is stable. This is χ_q, not χ₁: it says how fast lengths, not correlations, settle.

    Raises:
        InvalidValue: as `length_map`.
    """
    phi = as_activation(activation)
    q = torch.as_tensor(q, dtype=torch.float64)
    return weight_var * phi.expectation(lambda u: phi.value(u) * phi.derivative(u) * u, q) / q


def fixed_point(activation: str | nn.Module | Activation, weight_var: float, bias_var: float) -> float:
    """q*, the stable fixed point of the length map: the pre-activations' variance in a deep network.

    Where there are several, the smallest. 0 is one (tanh with σ_w² ≤ 1 and σ_b² = 0).

    Args:
        activation: φ; see `orthontk.networks.make_activation`.
        weight_var, bias_var: σ_w², σ_b².

    Raises:
        InvalidValue: lengths grow beyond 1e8, where no fixed point is looked for, or every length is its own fixed
            point (relu at σ_w² = 2, σ_b² = 0).

    Source: Poole et al. 2016, §2.1.

    >>> round(fixed_point("tanh", 1.05, 2.0105e-5), 5)
    0.02592
    >>> fixed_point("relu", 2.5, 0.1)
    Traceback (most recent call last):
    orthontk.checks.InvalidValue: weight_var=2.5: expected a value for which the length map of relu has a stable \
fixed point up to 1e+08 (bias_var=0.1)
    """
    phi = as_activation(activation)
    number("weight_var", weight_var, above=0), number("bias_var", bias_var, minimum=0)
    excess = _excess(phi, weight_var, bias_var)
    grows = excess > ROUNDING
    shrinks = excess < -ROUNDING
    if shrinks[0]:  # the fixed point lies below the scan
        at_zero = float(length_map(phi, weight_var, bias_var, 0.0))
        return 0.0 if at_zero == 0 else _root(phi, weight_var, bias_var, 0.0, float(SCAN[0]))
    crossings = torch.nonzero(grows[:-1] & ~grows[1:]).flatten()
    if len(crossings) == 0 or not shrinks[crossings[0] + 1 :].any():
        name = activation if isinstance(activation, str) else type(phi.module).__name__
        accepted = f"a value for which the length map of {name} has a stable fixed point up to {SCAN[-1]:.0e}"
        raise InvalidValue("weight_var", weight_var, f"{accepted} (bias_var={bias_var:g})")
    below = int(crossings[0])
    above = below + 1 + int(shrinks[below + 1 :].float().argmax())  # the next may be the fixed point, to rounding
    return _root(phi, weight_var, bias_var, float(SCAN[below]), float(SCAN[above]))


def every_length_is_fixed(activation: str | nn.Module | Activation, weight_var: float, bias_var: float) -> bool:
    """Whether the length map is the identity, so that q* is any length and χ₁ = 1.

    That is so of positively homogeneous activations at their critical point (relu at σ_w² = 2, σ_b² = 0).

    >>> every_length_is_fixed("relu", 2.0, 0.0), every_length_is_fixed("tanh", 1.0, 0.0)
    (True, False)
    """
    phi = as_activation(activation)
    return phi.is_homogeneous and bool((_excess(phi, weight_var, bias_var).abs() <= ROUNDING).all())


def _excess(phi: Activation, weight_var: float, bias_var: float) -> Tensor:
    """By how much of it each length of `SCAN` grows: (n,)."""
    return (weight_var * phi.scanned[0] + bias_var) / SCAN - 1


def _root(phi: Activation, weight_var: float, bias_var: float, low: float, high: float) -> float:
    def excess(q: float) -> float:
        return float(length_map(phi, weight_var, bias_var, q)) - q

    return float(brentq(excess, low, high, xtol=1e-14 * high, rtol=1e-14))
