"""Networks that write to their inputs or to what layers have used: as autograd has it, or refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from function_network import Net, parameter, two_layers
from naive_ntk import naive_ntk
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import NTKOperator, empirical_ntk, explain_ntk, ntk_and_layer_shares
from orthontk.kernels.outputs import outputs_of
from orthontk.kernels.shares import TORCH_FUNC

pytestmark = pytest.mark.usefixtures("seeded")


def in_place_first(net, x):
    return net.readout(torch.tanh(net.first(x.mul_(2).relu_())))


def in_place_first_in_the_fallback(net, x):
    return net.readout(torch.einsum("ij,nj->ni", net.first.weight, x.mul_(2).relu_()))


@pytest.mark.parametrize("function", [in_place_first, in_place_first_in_the_fallback])
def test_a_first_layer_that_writes_to_its_inputs_writes_to_no_ones(function):
    net, x = Net(function, **two_layers()).double(), torch.randn(5, 4, dtype=torch.float64)
    before, expected = x.clone(), naive_ntk(net, x)
    torch.testing.assert_close(empirical_ntk(net, x, memory_limit=4_000), expected)
    assert explain_ntk(net, x, memory_limit=4_000).tiles > 1
    matrix = expected.permute(0, 2, 1, 3).reshape(15, 15).numpy()
    np.testing.assert_allclose(NTKOperator(net, x, batch_size=2) @ np.eye(15), matrix, rtol=1e-9, atol=1e-9)
    assert torch.equal(ntk_and_layer_shares(net, x)[0], empirical_ntk(net, x))
    outputs_of(net, x)
    assert torch.equal(x, before)


def test_activations_in_place_before_the_first_weight_are_no_leaves():
    net, x = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)), torch.randn(5, 4)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))


def overwriting(operation):
    """z of a layer, after which the layer's input is written to."""

    def forward(net, x):
        h = net.first(x)
        z = operation(net, h)
        h.mul_(3)
        return z + h

    return forward


OVERWRITING = {
    "dense": lambda net, h: net.other(h),
    "dense, by another function": lambda net, h: torch.addmm(net.other.bias, h, net.other.weight),
    "product": lambda net, h: h * net.scale,
    "PReLU": lambda net, h: F.prelu(h, net.scale),
    "LayerNorm": lambda net, h: F.layer_norm(h, (4,), net.scale),
    "batch norm": lambda net, h: F.batch_norm(h, torch.zeros(4).to(h), torch.ones(4).to(h), net.scale),
    "not recorded": lambda net, h: torch.einsum("ij,nj->ni", net.other.weight, h),
}


@pytest.mark.parametrize("name", OVERWRITING)
def test_what_torch_cannot_differentiate_is_refused(name):
    parts = two_layers() | {"other": nn.Linear(4, 4), "scale": parameter(4)}
    net, x = Net(overwriting(OVERWRITING[name]), **parts).double(), torch.randn(5, 4, dtype=torch.float64)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        naive_ntk(net, x)
    for refused in (empirical_ntk, NTKOperator, explain_ntk):
        with pytest.raises(InvalidValue, match="inputs are not overwritten"):
            refused(net, x)


def overwritten_after_it_was_copied(net, x):
    h = net.first(x).transpose(1, 2).contiguous().transpose(1, 2)  # which a dense layer has to copy
    z = net.readout(h)
    h.mul_(3)
    return z + h.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (overwriting(lambda net, h: h + net.scale), (4,)),
        (overwriting(lambda net, h: (net.other(h), h + net.scale)[1]), (4,)),
        (overwriting(lambda net, h: F.linear(h, net.other.weight.detach(), net.other.bias)), (4,)),
        (overwritten_after_it_was_copied, (2, 3, 4)),
    ],
    ids=["a sum", "a layer whose result is not used", "a bias alone", "an input that is copied"],
)
def test_what_torch_can_differentiate_for_all_that_is_overwritten(function, shape):
    net = Net(function, **two_layers(), other=nn.Linear(4, 4), scale=parameter(4)).double()
    x = torch.randn(3, *shape, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))


def written_after_reading(layer):
    """A dense layer's result over positions is written to after it has been read."""

    def forward(net, x):
        z = layer(net, torch.tanh(net.first(x)))
        z -= z.mean(1, keepdim=True)
        return net.readout(torch.tanh(z).sum(1))

    return forward


def merged(net, h):
    return F.linear(h.flatten(0, 1), net.other.weight, net.other.bias).unflatten(0, h.shape[:2])


@pytest.mark.parametrize(
    "layer",
    [lambda net, h: net.other(h), lambda net, h: net.attention(h, h, h)[0], merged],
    ids=["dense", "attention", "merged positions"],
)
def test_a_result_that_is_written_to_after_it_was_read(layer):
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    net = Net(written_after_reading(layer), **two_layers(), other=nn.Linear(4, 4), attention=attention).double()
    x = torch.randn(4, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))
    assert TORCH_FUNC not in {row.path for row in explain_ntk(net, x).rows}


def test_activations_in_place_over_positions_are_structured(tmp_path):
    layers = [nn.Linear(4, 5), nn.ReLU(inplace=True), nn.Linear(5, 3), nn.ReLU(inplace=True), nn.Flatten()]
    net, x = nn.Sequential(*layers, nn.Linear(9, 2)).double(), torch.randn(4, 3, 4, dtype=torch.float64)
    assert {row.layer for row in explain_ntk(net, x).rows} == {"network", "0", "2", "5"}
    torch.testing.assert_close(empirical_ntk(net, x, out=tmp_path / "theta.npy"), naive_ntk(net, x))


def source_written_to(net, x):
    h = net.first(x)
    merged = h.transpose(1, 3).reshape(-1, 2)  # a copy, also of one example
    h += 1
    return net.readout(torch.tanh(net.columns(merged)).unflatten(0, (len(h), -1)).sum(1)) + h.sum((1, 2, 3))[:, None]


def hooked(net, x):
    merged = net.first(x).flatten(0, 2)
    if merged.requires_grad:
        merged.register_hook(lambda gradient: 0.1 * gradient)
    return net.readout(torch.tanh(net.other(merged)).unflatten(0, (len(x), -1)).sum(1))


@pytest.mark.parametrize("function", [source_written_to, hooked])
def test_positions_that_are_merged_are_what_the_network_made_of_them(function):
    net = Net(function, **two_layers(), other=nn.Linear(4, 4), columns=nn.Linear(2, 4)).double()
    x = torch.randn(5, 2, 3, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))
