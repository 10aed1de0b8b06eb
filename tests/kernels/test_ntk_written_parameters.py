"""A forward pass that writes to the network's parameters is refused, and the parameters are as before."""

import pytest
import torch
from function_network import Net, two_layers
from naive_ntk import naive_ntk

from orthontk.checks import InvalidValue
from orthontk.kernels import NTKOperator, empirical_ntk, explain_ntk

pytestmark = pytest.mark.usefixtures("seeded")


@torch.no_grad()
def decayed_without_gradient(weight):
    weight *= 0.99


def one_entry_set(weight):
    weight.data[0, 0] = 5


def decayed_by_a_view(weight):
    weight.detach().T.mul_(0.99)


WRITES = {
    "decayed": lambda weight: weight.data.mul_(0.99),
    "decayed without gradient": decayed_without_gradient,
    "decayed by a view": decayed_by_a_view,
    "one entry set": one_entry_set,
    "the result of a function": lambda weight: torch.tanh(weight.data, out=weight.data),
}


def writing(write):
    def function(net, x):
        write(net.first.weight)
        return net.readout(torch.tanh(net.first(x)))

    return Net(function, **two_layers()).double()


@pytest.mark.parametrize("compute", [empirical_ntk, explain_ntk, NTKOperator])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", WRITES)
def test_writing_to_parameters_is_refused_and_undone(name, frozen, compute):
    net = writing(WRITES[name])
    net.first.weight.requires_grad_(not frozen)
    before = net.first.weight.detach().clone()
    with pytest.raises(InvalidValue, match="writes to parameters"):
        compute(net, torch.randn(5, 4, dtype=torch.float64))
    assert torch.equal(net.first.weight, before)


def test_writing_what_is_there_changes_nothing():
    """As layers do that limit their weights."""
    net, x = writing(lambda weight: weight.data.clamp_(-10, 10).t_()), torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))
