"""Networks that put the examples of a batch in another order, and back: exact whatever order they come in."""

import pytest
import torch
from function_network import Net, two_layers
from naive_ntk import naive_ntk
from torch import nn

from orthontk.kernels import empirical_ntk
from orthontk.kernels.reordering import may_reorder

pytestmark = pytest.mark.usefixtures("seeded")


def hidden(net, x):
    return torch.tanh(net.first(x))


def sorted_by(order_of):
    def forward(net, x):
        order = order_of(x)
        return net.readout(hidden(net, x[order]))[order.argsort()]

    return forward


def dispatched(net, x):
    """As a mixture of experts: by which half an example is in."""
    order = (x[:, 0] > 0).long().argsort(stable=True)
    outputs = net.readout(hidden(net, x[order]))
    return torch.empty_like(outputs).index_copy(0, order, outputs)


def partitioned(net, x):
    first = x[:, 0] > 0
    outputs = net.readout(hidden(net, torch.cat([x[first], x[~first]])))
    places = torch.cat([torch.nonzero(first), torch.nonzero(~first)]).flatten()
    return torch.empty_like(outputs).index_copy(0, places, outputs)


def counted(net, x):
    """Places by counting, as experts of a limited capacity are given theirs."""
    second = (x[:, 0] > 0).long()
    first = 1 - second
    places = torch.where(second == 0, first.cumsum(0) - 1, first.sum() + second.cumsum(0) - 1)
    return net.readout(hidden(net, torch.empty_like(x).index_copy(0, places, x)))[places]


def sorted_by_python(net, x):
    order = sorted(range(len(x)), key=x[:, 0].tolist().__getitem__)
    return net.readout(hidden(net, x[order]))[sorted(range(len(x)), key=order.__getitem__)]


REORDERING = {
    "reversed": lambda net, x: net.readout(hidden(net, x).flip(0)).flip(0),
    "rolled": lambda net, x: net.readout(hidden(net, x).roll(1, 0)).roll(-1, 0),
    "argsort": sorted_by(lambda x: x[:, 0].argsort()),
    "sort": sorted_by(lambda x: torch.sort(x[:, 0], descending=True).indices),
    "topk": sorted_by(lambda x: x[:, 0].topk(len(x)).indices),
    "dispatched": dispatched,
    "partitioned": partitioned,
    "counted": counted,
    "sorted by Python": sorted_by_python,
}


@pytest.mark.parametrize("name", REORDERING)
def test_kernels_are_those_of_the_examples_in_their_order(name):
    """Also of examples the first of which are in order already, so that few of them show nothing."""
    net = Net(REORDERING[name], **two_layers()).double()
    x = torch.randn(9, 4, dtype=torch.float64)
    in_order = x[torch.cat([x[:6, 0].argsort(), torch.arange(6, 9)])]  # more than are looked at
    for inputs in (x, in_order, in_order.flip(0)):
        torch.testing.assert_close(empirical_ntk(net, inputs), naive_ntk(net, inputs))
    torch.testing.assert_close(empirical_ntk(net, x[:1], x), naive_ntk(net, x[:1], x))


def test_what_only_looks_like_reordering():
    """Sorting an example's own entries, or the entries of what is no batch."""
    x, keys = torch.randn(3, 5), torch.randn(3)
    assert may_reorder(torch.sort, (keys,), {}, 3) and may_reorder(torch.sort, (keys,), {"stable": True}, 3)
    assert may_reorder(torch.sort, (x, 0), {}, 3) and may_reorder(torch.Tensor.argsort, (x,), {"dim": -2}, 3)
    assert may_reorder(torch.topk, (), {"input": keys, "k": 2}, 3)
    for func, args, kwargs in [
        (torch.sort, (x,), {}),
        (torch.topk, (x, 2), {}),
        (torch.topk, (x, 2, 1), {}),
        (torch.sort, (torch.randn(4),), {}),
        (torch.Tensor.__getitem__, (x, torch.tensor([2, 0, 1])), {}),
        (torch.where, (x > 0, x, x), {}),
        (torch.cumsum, (x, 0), {}),
        (torch.cumsum, (x.long(), 1), {}),
    ]:
        assert not may_reorder(func, args, kwargs, 3)


@pytest.mark.parametrize("examples", [6, 12])
def test_what_is_sorted_may_be_as_long_as_a_block(examples):
    net = Net(lambda net, x: net.readout(hidden(net, x) * net.keys.sort().values[-1]), **two_layers())
    net.register_buffer("keys", torch.randn(12))
    net, x = net.double(), torch.randn(examples, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))


def test_a_table_as_long_as_the_few_that_are_looked_at_is_no_batch():
    """Whatever the memory allows; of rows of which the middle one is used."""
    net = Net(lambda net, x: net.readout(torch.tanh(net.first(net.table[:5])[2] + net.first(x))), **two_layers())
    net.register_buffer("table", torch.randn(9, 4))
    net, x = net.double(), torch.randn(10, 4, dtype=torch.float64)
    expected = naive_ntk(net, x)
    for limit in range(15_000, 30_000, 1_000):
        torch.testing.assert_close(empirical_ntk(net, x, memory_limit=limit), expected)


def test_examples_without_entries():
    net = nn.Linear(1, 3, bias=True).double()
    net.weight = nn.Parameter(torch.zeros(3, 0, dtype=torch.float64))
    theta = empirical_ntk(net, torch.zeros(4, 0, dtype=torch.float64))
    assert torch.equal(theta, torch.eye(3, dtype=torch.float64).expand(4, 4, 3, 3))
