"""Outputs and hidden values taken in the middle of a training: right, and without a trace in the network."""

import copy

import pytest
import torch
from function_network import Net, two_layers
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import empirical_ntk
from orthontk.kernels.empirical_nngp import empirical_nngp
from orthontk.kernels.outputs import outputs_of
from orthontk.kernels.precision import SETTINGS
from orthontk.meanfield import measured_spectrum
from orthontk.networks import CNN, FCN


def counting(net, x):
    net.passes += 1
    net.calls += 1
    net.history.append(x)
    net.last["x"] = x
    return net.readout(torch.tanh(net.first(x)))


def state_of(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_outputs_are_those_of_the_present_mode_and_leave_no_trace(seeded):
    x = torch.randn(7, 4)
    for net in (
        nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), nn.Tanh(), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval(),
        Net(counting, calls=0, history=[0], last={"x": 0}, **two_layers()),
    ):
        if isinstance(net, Net):
            net.register_buffer("passes", torch.zeros(()))
        before, attributes = state_of(net), {name: copy.copy(value) for name, value in vars(net).items()}
        found = outputs_of(net, x)
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert vars(net) == attributes and not found.requires_grad
        torch.testing.assert_close(found, net(x))


def registering(net, x):
    """What a forward pass may leave in the network besides attributes."""
    net.register_buffer("longest", x.norm(dim=1).max(), persistent=False)
    net.activation = nn.Tanh()
    net.first.register_forward_hook(lambda *_: None)
    net.seen.add(len(x))
    return net.readout(net.activation(net.first(x)))


@pytest.mark.parametrize("compute", [outputs_of, empirical_ntk])
def test_what_a_pass_registers_does_not_stay(seeded, compute):
    net = Net(registering, **two_layers(), seen=set())
    compute(net, torch.randn(3, 4))
    assert [*net._modules] == ["first", "readout"] and not net._buffers and not net._non_persistent_buffers_set
    assert not net.first._forward_hooks and not net.seen


def test_dictionaries_that_take_no_changes_are_left_alone(seeded):
    class Frozen(dict):
        def update(self, *_):
            raise TypeError("frozen")

    net = Net(lambda net, x: net.readout(net.first(x)), **two_layers(), settings=Frozen(width=4))
    for compute in (outputs_of, empirical_ntk):
        compute(net, torch.randn(3, 4))
        assert net.settings == {"width": 4}


def test_parts_of_the_inputs_have_the_outputs_of_the_whole(seeded):
    net, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh()).double(), torch.randn(7, 4)
    torch.testing.assert_close(outputs_of(net, x, chunk=3), net(x.double()))
    with pytest.raises(InvalidValue, match="random numbers"):
        outputs_of(nn.Sequential(net, nn.Dropout(0.5)), x)


@pytest.mark.parametrize("make", [lambda: FCN(4, 2, 5, 3), lambda: CNN(1, 3, 2, 5, 3)], ids=["fcn", "cnn"])
@pytest.mark.parametrize("measure", [empirical_nngp, measured_spectrum, outputs_of])
def test_low_precision_of_the_training_is_off(make, measure):
    net, seen = initialize(make(), "gaussian", torch.Generator().manual_seed(0)), []
    net.layers[1].register_forward_hook(lambda *_: seen.append([getattr(place, name) for place, name, _ in SETTINGS]))
    x = torch.ones(4) if isinstance(net, FCN) else torch.ones(1, 3, 3)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        measure(net, x if measure is measured_spectrum else x[None])
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen and all(values == [exact for _, _, exact in SETTINGS] for values in seen)


def test_the_nngp_leaves_no_trace(seeded):
    net = initialize(FCN(4, 2, 5, 3), "gaussian", torch.Generator().manual_seed(0))
    nn.utils.parametrizations.spectral_norm(net.layers[1])
    before = state_of(net)
    empirical_nngp(net, torch.ones(2, 4))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
