"""Correlations between two inputs: their fixed point c* and how deep they reach (Schoenholz et al. 2017)."""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.duals import Dual, make_dual
from orthontk.kernels.infinite.gaussian import Activation, as_activation
from orthontk.meanfield.critical import chi_1
from orthontk.meanfield.fixed_point import fixed_point


class CorrelationMap:
    """c ↦ (σ_w² E[φ(u)φ(v)] + σ_b²)/q* for u, v of variance q* and correlation c, and its slope χ(c).

    Args:
        activation, weight_var, bias_var: φ, σ_w², σ_b².
        dual: φ's expectations at variances among which q* is; made if not given.

    Raises:
        InvalidValue: no stable fixed point q*, or q* = 0, where correlations are undefined.
    """

    def __init__(
        self, activation: str | nn.Module | Activation, weight_var: float, bias_var: float, dual: Dual | None = None
    ) -> None:
        phi = as_activation(activation)
        self.weight_var, self.bias_var = weight_var, bias_var
        self.q_star = fixed_point(phi, weight_var, bias_var)
        if self.q_star == 0:
            raise InvalidValue("bias_var", bias_var, "a value for which lengths do not shrink to 0")
        q = torch.tensor([self.q_star], dtype=torch.float64)
        self._dual = dual or make_dual(phi, q)
        self._features = self._dual.features(q)

    def _pair(self, c: float | Tensor) -> tuple[Tensor, Tensor]:
        return self._dual.pair(self._features, self._features, torch.as_tensor(c, dtype=torch.float64).reshape(-1))

    def __call__(self, c: float) -> float:
        return (self.weight_var * self._pair(c)[0].item() + self.bias_var) / self.q_star

    def slope(self, c: float) -> float:
        """χ(c) = σ_w² E[φ'(u)φ'(v)]; χ(1) = χ₁."""
        return self.weight_var * self._pair(c)[1].item()


def correlation_fixed_point(activation: str | nn.Module | Activation, weight_var: float, bias_var: float) -> float:
    """c*, what the correlation of any two inputs tends to: 1 in the ordered phase and at criticality, less in chaos.

    Raises:
        InvalidValue: as `CorrelationMap`.

    Source: Poole et al. 2016, §2.2.

    >>> correlation_fixed_point("tanh", 1.0, 0.1)
    1.0
    >>> correlation_fixed_point("tanh", 4.0, 0.0)
    0.0
    """
    return _stable_correlation(CorrelationMap(activation, weight_var, bias_var))


def _stable_correlation(correlation_map: CorrelationMap) -> float:
    if correlation_map.slope(1.0) <= 1 + 1e-12:
        return 1.0
    if correlation_map(0.0) < 1e-14:
        return 0.0
    below_one = (1 - 10.0**-k for k in range(1, 13))
    high = next((c for c in below_one if correlation_map(c) < c), None)
    return 1.0 if high is None else brentq(lambda c: correlation_map(c) - c, 0.0, high, xtol=1e-15)


def correlation_length(
    activation: str | nn.Module | Activation, weight_var: float, bias_var: float, dual: Dual | None = None
) -> float:
    """ξ_c = −1/log χ(c*), in layers: how deep two inputs' correlation still differs from c*. Infinite at criticality.

    Args:
        activation, weight_var, bias_var, dual: as for `CorrelationMap`.

    Raises:
        InvalidValue: no stable fixed point q*.

    Source: Schoenholz et al. 2017, eq. 9.
    """
    phi = as_activation(activation)
    slope = chi_1(phi, weight_var, fixed_point(phi, weight_var, bias_var))
    if slope > 1:  # chaos: c* is below 1
        correlation_map = CorrelationMap(phi, weight_var, bias_var, dual)
        slope = correlation_map.slope(_stable_correlation(correlation_map))
    return math.inf if abs(slope - 1) < 1e-12 else -1 / math.log(slope) if slope > 0 else 0.0
