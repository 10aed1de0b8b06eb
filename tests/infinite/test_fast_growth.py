"""Activations that grow exponentially: their expectations are known, and those that no float64 can tell are refused."""

import pytest
import torch

from elementwise import Elementwise
from orthontk.checks import InvalidValue
from orthontk.kernels import infinite_kernels
from orthontk.kernels.infinite.duals import make_dual
from orthontk.kernels.infinite.gaussian import Activation
from orthontk.networks import FCN

VARIANCES = torch.tensor([1e-3, 0.3, 1.0, 9.0, 60.0], dtype=torch.float64)


# E[φ(u)φ(v)] and E[φ'(u)φ'(v)] over exp((q₁+q₂)/2), as functions of the covariance.
KNOWN = {
    torch.exp: (torch.exp, torch.exp),
    torch.sinh: (torch.sinh, torch.cosh),
    torch.cosh: (torch.cosh, torch.sinh),
}


@pytest.mark.parametrize("function", KNOWN)
def test_expectations_are_the_known_ones(function):
    phi = Activation(Elementwise(function))
    assert len(phi.cuts) < 100
    dual = make_dual(phi, VARIANCES)
    features = dual.features(VARIANCES)
    rho = torch.tensor([-1.0, -0.5, 0.0, 0.7, 0.999, 1.0], dtype=torch.float64)
    pair = dual.pair(features[:, :, None, None], features[:, None, :, None], rho.expand(5, 5, 6))
    roots = VARIANCES.sqrt()
    sizes = torch.exp(VARIANCES / 2)
    covariances = roots[:, None, None] * roots[None, :, None] * rho
    size = sizes[:, None, None] * sizes[None, :, None]
    scale = [known(roots**2).sqrt() * sizes for known in KNOWN[function]]  # √E[φ²]
    for value, known, of in zip(pair, KNOWN[function], scale, strict=True):
        error = (value - known(covariances) * size).abs() / (of[:, None, None] * of[None, :, None])
        assert error.max() < 1e-6
    assert torch.allclose(dual.moments(features), KNOWN[function][0](VARIANCES) * sizes**2, rtol=1e-6)


def test_kernels_of_two_exponential_layers():
    """σ_w² = ½, σ_b² = 0: Σ¹ = c/2, E[φφ'] = E[φ'φ'] = exp(c/2 + (q₁+q₂)/4), and so on."""
    x = torch.tensor([[1.0, 0.5], [-0.5, 1.0], [0.2, 0.1]], dtype=torch.float64)
    sigma = theta = x @ x.T / 4
    for _ in range(2):
        q = sigma.diag()
        moment = torch.exp(sigma + (q[:, None] + q) / 2)
        sigma, theta = 0.5 * moment, 0.5 * moment + 0.5 * moment * theta
    kernels = infinite_kernels(FCN(2, 1, 4, 3, Elementwise(torch.exp), 0.5, 0.0), x)
    assert torch.allclose(kernels.nngp, sigma, rtol=1e-9) and torch.allclose(kernels.ntk, theta, rtol=1e-9)


def test_beside_an_input_of_zeros():
    """E[φ(0)φ(v)] = exp(q/2), also where the peak of φ is far out."""
    x = torch.tensor([[0.0, 0.0], [6.0, 8.0]], dtype=torch.float64)
    kernels = infinite_kernels(FCN(2, 1, 4, 2, Elementwise(torch.exp), 1.0, 0.0), x)
    expected = torch.exp(torch.tensor([[0.0, 25.0], [25.0, 100.0]], dtype=torch.float64))
    assert torch.allclose(kernels.nngp, expected, rtol=1e-9)


@pytest.mark.parametrize("function", KNOWN)
@pytest.mark.parametrize("variances", [[300.0], [1e-3, 1e6], [1e4, 1e5], [1e20]])
def test_what_rests_on_the_far_tail_is_refused(function, variances):
    with pytest.raises(InvalidValue, match=r"activation=.*: expected one that grows more slowly"):
        make_dual(Activation(Elementwise(function)), torch.tensor(variances, dtype=torch.float64))


def test_a_depth_at_which_they_overflow_is_refused():
    with pytest.raises(InvalidValue, match="grows more slowly"):
        infinite_kernels(FCN(2, 1, 4, 6, Elementwise(torch.exp), 1.0, 0.0), torch.eye(2))
