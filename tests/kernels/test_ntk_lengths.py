"""Networks with a length of their own that equals the number of examples."""

import pytest
import torch
from function_network import Net, parameter
from naive_ntk import naive_ntk
from torch import nn

from orthontk.kernels import empirical_ntk

pytestmark = pytest.mark.usefixtures("seeded")
LENGTH = 7

NETS = {
    "a buffer through a layer": lambda: Net(
        lambda net, x: net.readout(torch.tanh(net.first(x) + net.layer(net.positions)).mean(1)),
        first=nn.Linear(4, 5),
        layer=nn.Linear(5, 5),
        positions=nn.Buffer(torch.randn(LENGTH, 5)),
        readout=nn.Linear(5, 3),
    ),
    "an embedding of positions": lambda: Net(
        lambda net, x: net.readout(torch.tanh(net.first(x) + net.table(torch.arange(LENGTH))).mean(1)),
        first=nn.Linear(4, 5),
        table=nn.Embedding(LENGTH, 5),
        readout=nn.Linear(5, 3),
    ),
    "a constant times a parameter": lambda: Net(
        lambda net, x: net.readout(torch.tanh(net.first(x) + torch.linspace(0, 1, LENGTH)[:, None] * net.slope)[:, 0]),
        first=nn.Linear(4, 5),
        slope=parameter(5),
        readout=nn.Linear(5, 3),
    ),
    "a state for each example": lambda: Net(
        lambda net, x: net.readout(torch.tanh(net.first(x[:, 0]) + net.layer(torch.zeros(len(x), 5).to(x)))),
        first=nn.Linear(4, 5),
        layer=nn.Linear(5, 5),
        readout=nn.Linear(5, 3),
    ),
}


@pytest.mark.parametrize("name", NETS)
def test_the_plan_holds_whatever_the_number_of_examples(name, tmp_path):
    net = NETS[name]().double()
    for examples in (LENGTH - 1, LENGTH, LENGTH + 1):
        x = torch.randn(examples, LENGTH, 4, dtype=torch.float64)
        # A file takes no kernel whose plan turned out to be another one.
        theta = empirical_ntk(net, x, out=tmp_path / f"{examples}.npy")
        torch.testing.assert_close(theta, naive_ntk(net, x), rtol=1e-10, atol=1e-10)
