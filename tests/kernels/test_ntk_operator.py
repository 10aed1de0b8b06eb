"""The operator against the kernel itself."""

import numpy as np
import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import NTKOperator, empirical_ntk
from orthontk.kernels.measures import flatten_outputs
from orthontk.networks import CNN, FCN


def problem(kind: str):
    generator = torch.Generator().manual_seed(1)
    if kind == "FCN":
        net, shape = FCN(20, 3, width=30, depth=3, weight_var=1.5, bias_var=0.1), (20,)
    else:
        net, shape = CNN(2, 4, 3, width=6, depth=3, weight_var=1.5, bias_var=0.1), (2, 4, 4)
    x = torch.randn(12, *shape, generator=generator, dtype=torch.float64)
    return initialize(net.double(), "gaussian", generator), x


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("kind", ["FCN", "CNN"])
def test_products_are_the_kernels(kind, batch_size):
    net, x = problem(kind)
    theta = flatten_outputs(empirical_ntk(net, x)).numpy()
    operator = NTKOperator(net, x, batch_size=batch_size)
    assert operator.shape == theta.shape and operator.dtype == np.float64
    vectors = np.random.default_rng(0).standard_normal((len(theta), 3))
    np.testing.assert_allclose(operator @ vectors, theta @ vectors, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(operator.T @ vectors[:, 0], theta @ vectors[:, 0], rtol=1e-10, atol=1e-10)


def test_eigenvalues():
    net, x = problem("FCN")
    exact = np.linalg.eigvalsh(flatten_outputs(empirical_ntk(net, x)).numpy())[::-1]
    estimates = NTKOperator(net, x).eigenvalues(4)
    np.testing.assert_allclose([e.value for e in estimates], exact[:4], rtol=1e-9)
    assert all(e.error < 1e-6 * exact[0] for e in estimates)


def test_trace_and_logdet_estimates_cover_the_exact_values():
    net, x = problem("FCN")
    x = x[:6]
    theta = flatten_outputs(empirical_ntk(net, x)).numpy()
    operator = NTKOperator(net, x)
    trace = operator.trace(probes=100)
    assert abs(trace.value - np.trace(theta)) < 4 * trace.error < 0.3 * np.trace(theta)
    for ridge in (0.0, 0.5):
        exact = np.linalg.slogdet(theta + ridge * np.eye(len(theta)))[1]
        estimate = operator.logdet(ridge, probes=50, steps=18)
        assert abs(estimate.value - exact) < 4 * estimate.error < 4


def test_estimates_repeat_with_their_seed():
    net, x = problem("FCN")
    operator = NTKOperator(net, x)
    assert operator.trace(4, seed=1) == operator.trace(4, seed=1) != operator.trace(4, seed=2)


def test_refused():
    net, x = problem("FCN")
    with pytest.raises(InvalidValue, match="batch_size"):
        NTKOperator(net, x, batch_size=0)
    with pytest.raises(InvalidValue, match="probes"):
        NTKOperator(net, x).trace(1)
    with pytest.raises(InvalidValue, match="ridge"):
        NTKOperator(net, x).logdet(-1)
