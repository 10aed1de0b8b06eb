"""The empirical NTK against per-example Jacobians, in float64."""

import pytest
import torch
from drawn import gaussian, inputs
from naive_ntk import naive_ntk
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import empirical_ntk
from orthontk.kernels.problem import OUTPUTS
from orthontk.networks import CNN, FCN

SETTINGS = {"weight_var": 1.7, "bias_var": 0.3}


def assert_agrees(net, x1, x2=None, outputs="full"):
    expected = naive_ntk(net, x1, x2, outputs)
    torch.testing.assert_close(empirical_ntk(net, x1, x2, outputs=outputs), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_fcn(depth, parameterization, outputs):
    net = gaussian(FCN(7, 3, width=11, depth=depth, parameterization=parameterization, **SETTINGS))
    assert_agrees(net, inputs(5, 7), outputs=outputs)
    assert_agrees(net, inputs(5, 7), inputs(4, 7, seed=2), outputs=outputs)


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("readout", ["flatten", "pool"])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
def test_cnn(padding, readout, outputs):
    net = gaussian(CNN(2, (5, 4), 3, width=6, depth=3, padding=padding, readout=readout, activation="relu", **SETTINGS))
    assert_agrees(net, inputs(3, 2, 5, 4), outputs=outputs)
    assert_agrees(net, inputs(3, 2, 5, 4), inputs(2, 2, 5, 4, seed=2), outputs=outputs)


def test_frozen_parameters_do_not_count():
    net = gaussian(FCN(4, 2, width=5, depth=3, **SETTINGS))
    net.layers[1].weight.requires_grad_(False)
    net.layers[0].bias.requires_grad_(False)
    assert_agrees(net, inputs(3, 4))


def test_float64_on_request_from_float32_parameters():
    net = FCN(4, 2, width=5, depth=3, **SETTINGS)
    initialize(net, "orthogonal", torch.Generator().manual_seed(0))
    x = inputs(3, 4).float()
    assert empirical_ntk(net, x).dtype == torch.float32
    theta = empirical_ntk(net, x, dtype=torch.float64)
    torch.testing.assert_close(theta, naive_ntk(net.double(), x.double()), rtol=1e-10, atol=1e-10)


def test_the_network_and_the_random_state_are_left_alone():
    net = gaussian(FCN(4, 2, width=5, depth=3, **SETTINGS))
    net.train()
    net.layers[0].weight.grad = torch.ones_like(net.layers[0].weight)
    net.layers[1].bias.requires_grad_(False)
    before = {name: p.clone() for name, p in net.state_dict().items()}
    state = torch.random.get_rng_state()
    with torch.no_grad():
        empirical_ntk(net, inputs(3, 4))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], p) for name, p in net.state_dict().items())
    assert net.training and all(m.training for m in net.modules())
    assert [p.requires_grad for p in net.parameters()].count(False) == 1
    assert torch.equal(net.layers[0].weight.grad, torch.ones_like(net.layers[0].weight))
    assert all(p.grad is None for p in list(net.parameters())[1:])


def test_an_error_in_the_network_leaves_nothing_behind():
    class Broken(FCN):
        def forward(self, x):
            super().forward(x)
            raise ArithmeticError("broken")

    net = gaussian(Broken(4, 2, width=5, depth=2))
    with pytest.raises(ArithmeticError):
        empirical_ntk(net, inputs(3, 4))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(isinstance(p, nn.Parameter) for layer in net.layers for p in (layer.weight, layer.bias))


def test_any_other_module_falls_back_inside_the_same_call():
    class Bilinear(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.form = nn.Parameter(inputs(2, 4, 4))

        def forward(self, x):
            return torch.einsum("ni,oij,nj->no", self.layer(x), self.form, x)

    assert_agrees(Bilinear().double(), inputs(3, 4))


def test_refused():
    net = gaussian(FCN(4, 2, width=5, depth=2))
    with pytest.raises(InvalidValue, match="outputs=diagonal: expected one of full"):
        empirical_ntk(net, inputs(3, 4), outputs="diagonal")
    for p in net.parameters():
        p.requires_grad_(False)
    with pytest.raises(InvalidValue, match="require gradients"):
        empirical_ntk(net, inputs(3, 4))
