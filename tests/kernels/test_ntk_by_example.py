"""Networks that choose their operations by the examples: exact where that is seen in time, refused where it is not."""

import pytest
import torch
import torch.nn.functional as F
from function_network import Net, chosen_by_example, two_layers
from naive_ntk import naive_ntk
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical_ntk

pytestmark = pytest.mark.usefixtures("seeded")


def test_layers_chosen_by_the_example_are_refused_where_tiles_may_be_done_already(tmp_path):
    net = Net(chosen_by_example, **two_layers(), other=nn.Linear(4, 4))
    x = torch.tensor([[1.0, 1, 1, 1]] * 5 + [[-1.0, 1, 1, 1]])
    with pytest.raises(InvalidValue, match="do not depend on the examples"):
        empirical_ntk(net, x, out=tmp_path / "theta.npy")
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))


def bias_used_again_by_some(net, x):
    h = net.first(x)
    large = x[:, :1] > 2.5
    return net.readout(torch.tanh(torch.where(large, h + net.first.bias, h) if large.any() else h))


def transposed_by_some(net, x):
    weight, large = net.first.weight, x[:, :1] > 2.5
    h = x @ weight if large.all() else F.linear(x, weight)
    return net.readout(torch.tanh(torch.where(large, x @ weight, h) if large.any() and not large.all() else h))


@pytest.mark.parametrize("function", [bias_used_again_by_some, transposed_by_some])
def test_uses_of_another_kind_than_planned_are_noticed(function, seeded):
    """By as many uses of the weight as there were among the examples that the plan was made from."""
    net, x = Net(function, **two_layers()).double(), torch.randn(8, 4, dtype=torch.float64).clamp(-2, 2)
    x[5:, 0] = 3
    for x1, x2 in ((x, None), (x[:5], x[5:])):
        torch.testing.assert_close(empirical_ntk(net, x1, x2), naive_ntk(net, x1, x2))
