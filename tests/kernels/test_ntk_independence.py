"""Networks that mix examples are refused, whichever way they do it; others are not."""

import pytest
import torch
import torch.nn.functional as F
from function_network import Net, two_layers
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import NTKOperator, empirical_ntk
from orthontk.networks import FCN

pytestmark = pytest.mark.usefixtures("seeded")


def standardized_without_gradient(net, x):
    h = net.first(x)
    with torch.no_grad():
        mean, deviation = h.mean(0), h.std(0)
    return net.readout(torch.tanh((h - mean) / deviation))


def by_variance(net, x):
    h = net.first(x)
    with torch.no_grad():
        variance, mean = torch.var_mean(h, 0)
    return net.readout((h - mean) / (1 + variance))


def by_named_argument(net, x):
    h = net.first(x)
    with torch.no_grad():
        mean = torch.mean(input=torch.cat([h, h]), dim=0)
    return net.readout(h - mean)


def by_detaching_in_place(net, x):
    h = net.first(x)
    mean = h.mean(0)
    mean.detach_()
    return net.readout(h - mean)


def shifted(h: Tensor) -> Tensor:
    return h + F.pad(h, (0, 0, 1, 0))[:-1]


MIXING = {
    "the first example in all others": lambda net, x: net.readout(net.first(x) - net.first(x)[:1]),
    "a running sum": lambda net, x: net.readout(torch.tanh(net.first(x)).cumsum(0)),
    "a running sum from the end": lambda net, x: net.readout(torch.tanh(net.first(x)).flip(0).cumsum(0).flip(0)),
    "a shift": lambda net, x: net.readout(torch.tanh(shifted(net.first(x)))),
    "statistics without gradient": standardized_without_gradient,
    "a detached norm": lambda net, x: net.readout(net.first(x) / net.first(x).detach()[0].norm()),
    "a variance without gradient": by_variance,
    "a mean without gradient": by_named_argument,
    "a mean detached in place": by_detaching_in_place,
    "rounded inputs": lambda net, x: net.readout(net.first(x.round()) - net.first(x.round()).mean(0)),
}


BY_PLACE = {
    "a mean over examples": lambda net, x: net.readout(torch.tanh(net.first(x))) / len(x),
    "noise of a seeded generator": lambda net, x: net.readout(
        net.first(x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    ),
    "the place in the batch": lambda net, x: net.readout(net.first(x)) + torch.arange(len(x))[:, None],
}


@pytest.mark.parametrize("name", BY_PLACE)
@pytest.mark.parametrize("examples", [1, 15])
def test_networks_whose_outputs_depend_on_the_batch_are_refused(name, examples):
    for compute in (empirical_ntk, NTKOperator):
        with pytest.raises(InvalidValue, match="apart"):
            compute(Net(BY_PLACE[name], **two_layers()), torch.randn(examples, 4))


def test_outputs_that_are_rounding_alone_are_no_sign_of_mixing():
    """They round otherwise in another batch: a network that begins at 0 by pairs of units, and a chaotic one."""
    x, width = torch.randn(5, 40), 512
    pairs = nn.Sequential(nn.Linear(40, 2 * width), nn.Tanh(), nn.Linear(2 * width, 3, bias=False))
    chaotic = FCN(40, 3, width=100, depth=80, activation="tanh", weight_var=9.0)
    initialize(chaotic, "gaussian")
    with torch.no_grad():
        for p, axis in ((pairs[0].weight, 0), (pairs[0].bias, 0), (pairs[2].weight, 1)):
            first = p.narrow(axis, 0, width)
            p.narrow(axis, width, width).copy_(-first if axis else first)
    for net in (pairs, chaotic):
        assert empirical_ntk(net, x).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tokens", [False, True])
def test_frozen_layers_round_otherwise_in_another_batch_as_well(tokens, dtype):
    chaotic = FCN(20, 3, width=50, depth=100, activation="tanh", weight_var=9.0).to(dtype)
    initialize(chaotic, "gaussian", torch.Generator().manual_seed(0))
    table, count = nn.Embedding(50, 20, dtype=dtype), nn.Parameter(torch.tensor(1), requires_grad=False)
    net = Net(lambda net, x: chaotic(table(x) if tokens else x) * count, table=table, chaotic=chaotic, count=count)
    net.requires_grad_(False)
    chaotic.layers[-1].requires_grad_(True)
    x = torch.randint(50, (5,)) if tokens else torch.randn(5, 20, dtype=dtype)
    assert empirical_ntk(net, x).isfinite().all()
    for layer in chaotic.layers[:-1]:  # features that are drawn once and for all
        weight = layer.weight.detach()
        del layer.weight
        layer.register_buffer("weight", weight)
    assert empirical_ntk(net, x).isfinite().all()


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", MIXING)
def test_networks_that_mix_examples_are_refused(name, frozen):
    x = torch.randn(5, 4)
    for compute in (empirical_ntk, NTKOperator):
        with pytest.raises(InvalidValue, match="apart"):
            net = Net(MIXING[name], **two_layers())
            net.first.requires_grad_(not frozen)
            compute(net, x)


def test_networks_that_mix_tokens_are_refused():
    encoder = nn.TransformerEncoderLayer(8, 2, 16).eval()  # whose batch is the second axis, unless told otherwise
    net = Net(lambda net, x: net.encoder(net.table(x)).mean(1), table=nn.Embedding(7, 8), encoder=encoder)
    with pytest.raises(InvalidValue, match="apart"):
        empirical_ntk(net, torch.arange(20).reshape(5, 4) % 7)


def test_an_output_that_is_no_number_is_no_sign_of_mixing():
    net = Net(lambda net, x: torch.cat([net.readout(x.round()), x[:, :1] * torch.nan], 1), **two_layers())
    theta = empirical_ntk(net, torch.randn(4, 4))
    assert theta[..., :3, :3].isfinite().all()
