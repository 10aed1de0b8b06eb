"""Every kind of activation at random variances and correlations, against nested integrals of another code."""

import numpy as np
import pytest
import torch
from plane import plane
from torch import nn

from elementwise import Elementwise
from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.duals import make_dual
from orthontk.kernels.infinite.gaussian import as_activation
from orthontk.networks.activations import Erf

NARROWING = [0.0, *(sign * 2.0**-k for k in range(1, 8) for sign in (1, -1))]  # around a sharp bend, for the witness
SETTINGS = {  # φ, where it or its first two derivatives jump
    "tanh": (nn.Tanh(), []),
    "erf": (Erf(), []),
    "relu": (nn.ReLU(), [0]),
    "leaky_relu, slope 0.3": (nn.LeakyReLU(0.3), [0]),
    "leaky_relu, slope -1": (nn.LeakyReLU(-1.0), [0]),
    "gelu": (nn.GELU(), []),
    "gelu by tanh": (nn.GELU("tanh"), []),
    "SiLU": (nn.SiLU(), []),
    "Mish": (nn.Mish(), []),
    "Softplus": (nn.Softplus(), []),
    "Softplus, beta 50": (nn.Softplus(50.0), NARROWING),
    "CELU, alpha 0.1": (nn.CELU(0.1), NARROWING),
    "LogSigmoid": (nn.LogSigmoid(), []),
    "Tanhshrink": (nn.Tanhshrink(), []),
    "ELU": (nn.ELU(2.0), [0]),
    "CELU": (nn.CELU(), [0]),
    "SELU": (nn.SELU(), [0]),
    "Softsign": (nn.Softsign(), [0]),
    "Hardtanh": (nn.Hardtanh(), [-1, 1]),
    "Hardswish": (nn.Hardswish(), [-3, 3]),
    "ReLU6": (nn.ReLU6(), [0, 6]),
    "Threshold": (nn.Threshold(0.1, 20.0), [0.1]),
}
JUMPS = "Hardtanh", "Threshold"  # slopes that jump twice or values that jump: the issue asks for 1e-4


def worst_errors(module, kinks, q1, q2, gaps):
    """Largest errors of E[φφ'] and E[φ'φ'] at ρ = ±(1 − gap), over the roots of their values at ρ = 1."""
    q = torch.tensor([q1, q2], dtype=torch.float64)
    dual = make_dual(as_activation(module), q)
    features = dual.features(q)
    tops = np.sqrt([plane(module, kinks, q1, q1, 0.0), plane(module, kinks, q2, q2, 0.0)]).prod(0)
    errors = [0.0, 0.0]
    for gap in gaps:
        for sign in (1, -1):
            rho = torch.tensor([sign * (1 - gap)], dtype=torch.float64)
            found = [float(v) for v in dual.pair(features[:, :1], features[:, 1:], rho)]
            wanted = plane(module, kinks, q1, q2, gap, sign)
            errors = [
                max(e, abs(f - w) / (top or 1.0)) for e, f, w, top in zip(errors, found, wanted, tops, strict=True)
            ]
    return errors


@pytest.mark.slow  # for the sake of the witness
@pytest.mark.parametrize("name", SETTINGS)
def test_random_variances_and_correlations(name):
    module, kinks = SETTINGS[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    worst = 0.0
    for low, high in ((-6, -2), (-2, 1), (0, 2)):
        q1, q2 = 10 ** rng.uniform(low, high, 2)
        gaps = 1e-8, 10 ** rng.uniform(-7, -1), rng.uniform(0.1, 1)
        worst = max(worst, *worst_errors(module, kinks, q1, q2, gaps), *worst_errors(module, kinks, q1, q1, gaps))
    print(f"{name}: {worst:.1e}")
    assert worst < (1e-5 if name in JUMPS else 1e-8)


@pytest.mark.parametrize("q", [(0.01, 0.02), (0.5, 0.3), pytest.param((30.0, 40.0), marks=pytest.mark.slow)])
def test_an_activation_that_bends_everywhere(q):
    """φ = sin(au) has E[φφ'] = e^{−a²(q₁+q₂)/2} sinh(a²c) and E[φ'φ'] = a² e^{−a²(q₁+q₂)/2} cosh(a²c)."""
    dual = make_dual(as_activation(Elementwise(lambda u: torch.sin(10 * u))), torch.tensor(q, dtype=torch.float64))
    features = dual.features(torch.tensor(q, dtype=torch.float64))
    for rho in (0.9999, 0.9, 0.3, -0.5):
        c = 100 * rho * np.sqrt(q[0] * q[1])
        ends = np.exp(c - 50 * sum(q)), np.exp(-c - 50 * sum(q))
        found = dual.pair(features[:, :1], features[:, 1:], torch.tensor([rho], dtype=torch.float64))
        assert float(found[0]) == pytest.approx((ends[0] - ends[1]) / 2, abs=1e-8)
        assert float(found[1]) == pytest.approx(50 * (ends[0] + ends[1]), abs=1e-6)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InvalidValue, match="one that is finite everywhere"):
        as_activation(nn.Softplus(beta=1000, threshold=1e9))


def test_a_threshold_far_beyond_the_variance():
    """u never gets to 0.1: φ = 20 and φ' = 0, not NaN."""
    q = torch.tensor([1e-6, 2e-6], dtype=torch.float64)
    dual = make_dual(as_activation(nn.Threshold(0.1, 20.0)), q)
    features = dual.features(q)
    f, g = dual.pair(features[:, :, None], features[:, None], torch.tensor([[1.0, 0.3], [0.3, 1.0]]).double())
    assert torch.allclose(f, torch.full((2, 2), 400.0, dtype=torch.float64))
    assert torch.equal(g, torch.zeros(2, 2, dtype=torch.float64))
