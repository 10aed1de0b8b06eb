"""tanh and kinked activations against witnesses that share nothing with the quadrature."""

import math

import mpmath
import pytest
import torch

from orthontk.kernels import infinite_kernels
from orthontk.kernels.infinite.closed_forms import closed_form
from orthontk.kernels.infinite.duals import make_dual
from orthontk.kernels.infinite.gaussian import Activation
from orthontk.kernels.infinite.hermite import HermiteDual
from orthontk.kernels.infinite.table import TableDual
from orthontk.networks import FCN

RHO = torch.tensor([-1, -1 + 1e-8, -0.7, -0.1, 0, 0.3, 0.95, 1 - 1e-4, 1 - 1e-6, 1 - 1e-8, 1], dtype=torch.float64)


def relative_errors(dual, phi, q1, q2, expected):
    """Worst errors of F and G over √(F₁₁F₂₂) and √(G₁₁G₂₂)."""
    q = torch.tensor([q1, q2], dtype=torch.float64)
    features = dual.features(q)
    pair = dual.pair(features[:, :1], features[:, 1:], RHO)
    ones = torch.ones(1, dtype=torch.float64)
    tops = [dual.pair(features[:, i : i + 1], features[:, i : i + 1], ones) for i in (0, 1)]
    sizes = [float((tops[0][k] * tops[1][k]).sqrt()) for k in (0, 1)]
    return [float((pair[k] - expected[k]).abs().max()) / sizes[k] for k in (0, 1)]


def tanh_as_a_mixture(q1, q2):
    """tanh(x) = E[erf(a·x)] with a = 1/(√2·K): the logistic distribution is a normal one of random scale 2K, K
    distributed as Kolmogorov's statistic (Andrews and Mallows 1974). Each pair of scales has the arcsine law.

    K has the density 8k Σ_j (−1)^{j+1} j² exp(−2j²k²), by Jacobi's theta identity another series for small k, and in
    log k the trapezoid rule converges exponentially.
    """
    step = 0.04
    k = torch.exp(torch.arange(-2.4, 1.8, step, dtype=torch.float64))
    j = torch.arange(1, 60, dtype=torch.float64)[:, None]
    large = (8 * k * (-1) ** (j + 1) * j**2 * torch.exp(-2 * j**2 * k**2)).sum(0)
    exponent = ((2 * j - 1) * math.pi) ** 2 / (8 * k**2)
    small = math.sqrt(2 * math.pi) / k**2 * ((2 * exponent - 1) * torch.exp(-exponent)).sum(0)
    weight = torch.where(k < 0.7, small, large) * k * step
    a = 1 / (math.sqrt(2) * k)
    b1, b2 = (a**2 * 2 * q for q in (q1, q2))
    w = weight[:, None] * weight
    c = 2 * a[:, None] * a * math.sqrt(q1 * q2)
    determinant = [1 + b1[:, None] + b2 + c**2 * ((1 - rho) * (1 + rho)) for rho in RHO]
    f = [(w * torch.atan2(c * rho, d.sqrt())).sum() * 2 / math.pi for rho, d in zip(RHO, determinant, strict=True)]
    g = [(w * 4 / math.pi * a[:, None] * a / d.sqrt()).sum() for d in determinant]
    return torch.stack(f), torch.stack(g)


@pytest.mark.parametrize(
    ("q1", "q2"), [(1e-6, 1e-6), (0.026, 0.3), (0.5, 0.5), (1, 7), (100, 100), (1e3, 1e3), (1e-6, 1e3)]
)
def test_tanh_is_a_mixture_of_error_functions(q1, q2):
    phi = Activation("tanh")
    dual = make_dual(phi, torch.tensor([q1, q2], dtype=torch.float64))
    assert max(relative_errors(dual, phi, q1, q2, tanh_as_a_mixture(q1, q2))) < 1e-9


@pytest.mark.parametrize("activation", ["erf", "gelu", "relu", "leaky_relu"])
@pytest.mark.parametrize(("q1", "q2"), [(1e-6, 1e-6), (0.5, 2.0), (1e3, 1e3)])
def test_table_reproduces_closed_forms(activation, q1, q2):
    phi = Activation(activation)
    q = torch.tensor([q1, q2], dtype=torch.float64)
    expected = closed_form(phi.module)(q[0].sqrt(), q[1].sqrt(), RHO)
    assert max(relative_errors(TableDual(phi, q), phi, q1, q2, expected)) < 1e-8


@pytest.mark.parametrize("activation", ["erf", "gelu"])
def test_expansion_reproduces_closed_forms(activation):
    phi = Activation(activation)
    q = torch.tensor([1e-6, 0.4], dtype=torch.float64)
    expected = closed_form(phi.module)(q[0].sqrt(), q[1].sqrt(), RHO)
    assert max(relative_errors(HermiteDual.for_variances(phi, q), phi, 1e-6, 0.4, expected)) < 1e-13


def test_interpolated_variances_reproduce_the_closed_form():
    """More variances than nodes over three decades: the table interpolates in log q too."""
    phi = Activation("erf")
    q = torch.logspace(-2, 1, 60, dtype=torch.float64)
    dual = TableDual(phi, q)
    assert not dual.is_exact
    features = dual.features(q)
    f, g = dual.pair(features[:, :, None], features[:, None], torch.full((60, 60), 0.6, dtype=torch.float64))
    expected = closed_form(phi.module)(q.sqrt()[:, None], q.sqrt(), torch.tensor(0.6, dtype=torch.float64))
    for found, wanted in zip((f, g), expected, strict=True):
        assert float(((found - wanted) / wanted).abs().max()) < 1e-9


def test_hardtanh_slopes_are_bivariate_normal_masses():
    """E[φ'φ'] = P(|u| < 1, |v| < 1), by mpmath: ∫ p(z) [P((1−ρz√q)/s) − P((−1−ρz√q)/s)] over |z| < 1/√q."""
    q, rho = 4.0, 0.9
    spread = math.sqrt(q * (1 - rho**2))

    def integrand(z):
        ends = [(end - rho * math.sqrt(q) * z) / spread for end in (1, -1)]
        return mpmath.npdf(z) * (mpmath.ncdf(ends[0]) - mpmath.ncdf(ends[1]))

    expected = float(mpmath.quad(integrand, [-0.5, 0, 0.5]))
    dual = make_dual(Activation("Hardtanh"), torch.tensor([q], dtype=torch.float64))
    features = dual.features(torch.tensor([q], dtype=torch.float64))
    found = float(dual.pair(features, features, torch.tensor([rho], dtype=torch.float64))[1])
    assert found == pytest.approx(expected, rel=1e-7)


def test_deep_tanh_diagonal_by_scalar_recursion():
    """200 layers at the critical point, by trapezoid sums of E[tanh²] and E[sech⁴] on the line."""
    weight_var, bias_var, depth = 1.05, 2.01e-5, 200
    kernels = infinite_kernels(FCN(1, 1, 4, depth, "tanh", weight_var, bias_var), torch.tensor([[0.5]]))
    q = weight_var * 0.25 + bias_var
    theta = q
    z = torch.arange(-9, 9, 0.05, dtype=torch.float64)  # the trapezoid rule
    w = torch.exp(-(z**2) / 2) * 0.05 / math.sqrt(2 * math.pi)
    for _ in range(depth - 1):
        t = torch.tanh(math.sqrt(q) * z)
        slope = float((w * (1 - t**2) ** 2).sum())
        q = weight_var * float((w * t**2).sum()) + bias_var
        theta = q + weight_var * slope * theta
    assert float(kernels.nngp) == pytest.approx(q, rel=1e-10)
    assert float(kernels.ntk) == pytest.approx(theta, rel=1e-10)
