"""Finite networks of `orthontk.init` against their limits, and how the distance falls with the width."""

import pytest
import torch

from orthontk.init import initialize
from orthontk.kernels import infinite_kernels
from orthontk.networks import CNN, FCN

X = torch.randn(3, 2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def empirical_ntk(net, x):
    rows = []
    for output in net(x)[:, 0]:
        gradients = torch.autograd.grad(output, list(net.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.mT


def distance(make_net, init, width, draws):
    """Root mean square of ‖Θ̂ − Θ‖/‖Θ‖ over single draws, and the distance of their mean."""
    net = make_net(width).double()
    limit = infinite_kernels(net, X, init=init).ntk
    finite = torch.stack(
        [empirical_ntk(initialize(net, init, torch.Generator().manual_seed(s)), X) for s in range(draws)]
    )
    single = (finite - limit).square().sum((1, 2)).mean().sqrt() / limit.norm()
    return float(single), float((finite.mean(0) - limit).norm() / limit.norm())


def check_convergence(make_net, init, widths, draws):
    (narrow, _), (wide, mean) = (distance(make_net, init, width, draws) for width in widths)
    expected = (widths[0] / widths[1]) ** 0.5
    assert 0.6 * expected < wide / narrow < 1.6 * expected
    assert mean < 4 * wide / draws**0.5


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize(("activation", "init"), [("tanh", "gaussian"), ("relu", "orthogonal"), ("gelu", "gaussian")])
def test_fcn(activation, init, parameterization):
    check_convergence(lambda n: FCN(24, 1, n, 3, activation, 1.5, 0.1, parameterization), init, (32, 512), 12)


@pytest.mark.slow
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("readout", ["flatten", "pool"])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("init", ["gaussian", "orthogonal", "flat_orthogonal", "delta_orthogonal"])
def test_cnn(init, padding, readout, parameterization):
    def make_net(width):
        return CNN(2, (4, 3), 1, width, 4, 3, padding, readout, "relu", 1.5, 0.1, parameterization)

    check_convergence(make_net, init, (12, 192), 10)


@pytest.mark.slow
def test_delta_orthogonal_has_a_limit_of_its_own():
    def make_net(width):
        return CNN(2, (4, 3), 1, width, 3, 3, "circular", "flatten", "tanh", 1.5, 0.1)

    gaussian, delta = (infinite_kernels(make_net(4), X, init=init).ntk for init in ("gaussian", "delta_orthogonal"))
    _, mean = distance(make_net, "delta_orthogonal", 192, 8)
    assert float((gaussian - delta).norm() / delta.norm()) > 3 * mean
