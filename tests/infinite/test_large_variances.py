"""Variances at which √q units of u are too many to integrate one by one: exact all the same, at a bounded cost."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from test_quadrature import RHO, relative_errors, tanh_as_a_mixture
from torch import nn

from elementwise import Elementwise
from orthontk.checks import InvalidValue
from orthontk.kernels import infinite_kernels
from orthontk.kernels.infinite.closed_forms import closed_form, leaky_relu
from orthontk.kernels.infinite.duals import make_dual
from orthontk.kernels.infinite.gaussian import Activation
from orthontk.kernels.infinite.table import TableDual
from orthontk.networks import FCN


@pytest.mark.parametrize(("q1", "q2"), [(1e4, 1e4), (1e6, 1e6), (1e12, 1e12), (1.0, 1e8), (1e10, 1e12)])
def test_tanh_is_a_mixture_of_error_functions(q1, q2):
    phi = Activation("tanh")
    dual = make_dual(phi, torch.tensor([q1, q2], dtype=torch.float64))
    assert max(relative_errors(dual, phi, q1, q2, tanh_as_a_mixture(q1, q2))) < 1e-10


@pytest.mark.parametrize("activation", ["erf", "gelu"])
@pytest.mark.parametrize(("q1", "q2"), [(1e6, 1e6), pytest.param(1e-6, 1e12, marks=pytest.mark.slow)])
def test_table_reproduces_closed_forms(activation, q1, q2):
    phi = Activation(activation)
    q = torch.tensor([q1, q2], dtype=torch.float64)
    expected = closed_form(phi.module)(q[0].sqrt(), q[1].sqrt(), RHO)
    assert max(relative_errors(TableDual(phi, q), phi, q1, q2, expected)) < 1e-10


def pair(module, q1, q2, rho):
    q = torch.tensor([q1, q2], dtype=torch.float64)
    dual = make_dual(Activation(module), q)
    features = dual.features(q)
    values = dual.pair(features[:, :1], features[:, 1:], torch.tensor([rho], dtype=torch.float64))
    return [float(value) for value in values]


@pytest.mark.parametrize("beta", [1.0, 50.0])
@pytest.mark.parametrize("q", [1e4, 1e8])
def test_softplus_slopes_are_those_of_tanh(beta, q):
    """Softplus'(u) = (1 + tanh(βu/2))/2, so that E[φ'φ'] = (1 + E[tanh(βu/2)tanh(βv/2)])/4."""
    small = beta**2 / 4
    expected = (1 + float(tanh_as_a_mixture(small * q, small * q)[0][6])) / 4
    assert pair(nn.Softplus(beta), q, q, 0.95)[1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("q", [1e6, 1e12])
@pytest.mark.parametrize("rho", [-0.7, 0.95])
def test_silu_is_relu_and_a_rest_around_zero(q, rho):
    """SiLU(u) = max(u, 0) + r(u), r(u) = −|u|/(1+e^{|u|}), whose integral is −π²/6.

    Given u, v is normal: E[r(u) max(v, 0)] and E[r'(u) 1(v > 0)] are single integrals. E[r(u) r(v)] tends to the
    density at (0, 0) times (π²/6)², and E[r'(u) r'(v)], by integration by parts, to ρ/(q(1 − ρ²)) times that.
    """
    sigma, spread = math.sqrt(q), math.sqrt(q * (1 - rho**2))

    def rest(u):
        return -abs(u) / (1 + math.exp(abs(u)))

    def slope(u):  # r'
        s = 1 / (1 + math.exp(-u))
        return s + u * s * (1 - s) - (u > 0)

    def positive_part(u):  # E[max(v, 0) | u]
        return rho * u * norm.cdf(rho * u / spread) + spread * norm.pdf(rho * u / spread)

    def against(f):
        halves = [
            quad(lambda u: f(u) * norm.pdf(u / sigma) / sigma, *ends, epsabs=0)[0] for ends in ((-60, 0), (0, 60))
        ]
        return 2 * sum(halves)  # u and v change places

    root = torch.tensor(sigma, dtype=torch.float64)
    relu = [float(value) for value in leaky_relu(0.0)(root, root, torch.tensor([rho], dtype=torch.float64))]
    both = (math.pi**2 / 6) ** 2 / (2 * math.pi * sigma * spread)
    found = pair(nn.SiLU(), q, q, rho)
    assert found[0] == pytest.approx(relu[0] + against(lambda u: rest(u) * positive_part(u)) + both, rel=1e-11)
    beside = against(lambda u: slope(u) * norm.cdf(rho * u / spread))
    assert found[1] == pytest.approx(relu[1] + beside + both * rho / spread**2, rel=1e-11)


@pytest.mark.parametrize("weight_var", [1.0, 1e8])
def test_tanh_network_of_inputs_far_out(weight_var):
    """Layers of variance 1e8 and 1 (or 1e8 again), where tanh is nearly the sign; Θ² = Σ² + σ_w² E[φ'φ'] Σ¹."""
    x = torch.tensor([[1.0, 1.0], [1.9**0.5, -(0.1**0.5)]], dtype=torch.float64) * (1e8 / weight_var) ** 0.5
    kernels = infinite_kernels(FCN(2, 1, 4, 2, "tanh", weight_var, 0.0), x)
    sigma = weight_var * x @ x.T / 2
    c = float(sigma[0, 1] / sigma[0, 0])
    f, g = pair(nn.Tanh(), 1e8, 1e8, c)
    assert f == pytest.approx(2 / math.pi * math.asin(c), abs=1e-7)
    assert kernels.nngp[0, 1] == pytest.approx(weight_var * f, rel=1e-9)
    assert kernels.ntk[0, 1] == pytest.approx(weight_var * (f + g * float(sigma[0, 1])), rel=1e-9)
    slope = 4 / 3 / math.sqrt(2 * math.pi * 1e8)  # ∫ sech⁴ = 4/3
    assert kernels.ntk[0, 0] == pytest.approx(float(kernels.nngp[0, 0]) + weight_var * slope * 1e8, rel=1e-8)


class Counting(nn.Tanh):
    """Counts what it is asked for."""

    count = 0

    def forward(self, z):
        type(self).count += z.numel()
        return super().forward(z)


@pytest.mark.slow
def test_the_cost_grows_with_the_logarithm_of_the_variance():
    phi = Activation(Counting())
    counts = []
    for q in (1e3, 1e12):
        Counting.count = 0
        make_dual(phi, torch.tensor([q], dtype=torch.float64))
        counts.append(Counting.count)
    assert counts[1] < 4 * counts[0]


@pytest.mark.parametrize(
    ("module", "q", "most"),
    [(Elementwise(torch.sin), 2e4, "10000"), (nn.Hardtanh(-1e3, 4.0), 1e8, "10000"), (nn.SiLU(), 1e17, r"1e\+16")],
)
def test_variances_beyond_reach_are_refused(module, q, most):
    with pytest.raises(InvalidValue, match=rf"activation={type(module).__name__}: .*variance is at most {most}, not"):
        make_dual(Activation(module), torch.tensor([q], dtype=torch.float64))


@pytest.mark.parametrize("q", [math.inf, math.nan])
def test_variances_that_are_not_finite_are_refused(q):
    with pytest.raises(InvalidValue, match="activation=Tanh"):
        make_dual(Activation("tanh"), torch.tensor([q], dtype=torch.float64))
