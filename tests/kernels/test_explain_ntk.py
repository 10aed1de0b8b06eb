"""The table of paths and costs."""

import pytest
import torch
import torch.nn.functional as F
from function_network import Net, parameter
from torch import nn

from orthontk.kernels import explain_ntk
from orthontk.kernels.shares import TORCH_FUNC
from orthontk.networks import FCN


class Attention(nn.Module):
    """By hand, by PyTorch's fused function or by its module."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind, self.token = kind, nn.Parameter(torch.randn(16))
        self.qkv, self.readout = nn.Linear(8, 48), nn.Linear(16, 2)
        if kind == "module":
            self.attention = nn.MultiheadAttention(16, 1, batch_first=True)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=2)
        if self.kind == "by hand":
            h = torch.softmax(q @ k.mT / 4, dim=2) @ v
        else:
            h = self.attention(q, k, v)[0] if self.kind == "module" else F.scaled_dot_product_attention(q, k, v)
        return self.readout((h + torch.flip(self.token, (0,))).mean(1))


def test_passes_cost_what_pytorch_counts():
    """A product forward and one back for each output and layer; none to the inputs, and no parameter's gradient."""
    passes = explain_ntk(FCN(100, 10, width=30, depth=3), torch.randn(24, 100)).rows[0]
    assert passes.cost.flops == 2 * 24 * ((100 * 30 + 30 * 30 + 30 * 10) + 10 * (30 * 30 + 30 * 10))


def test_attention_is_counted():
    x, by_hand = torch.randn(6, 32, 8), explain_ntk(Attention("by hand"), torch.randn(6, 32, 8)).rows[0].cost.flops
    assert by_hand > 2 * 6 * 2 * 32**2 * 16  # of the forward pass alone
    assert explain_ntk(Attention("fused"), x).rows[0].cost.flops == by_hand
    assert explain_ntk(Attention("module"), x).rows[0].cost.flops > by_hand  # with its projections


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_jacobians_by_torch_func_are_counted(kind):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.readout = kind(8, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, x):
            return self.readout(self.layer(x)[0][:, -1])

    rows = explain_ntk(Recurrent(), torch.randn(6, 10, 8)).rows
    assert (rows[1].layer, rows[1].path) == ("network", "passes of torch.func")
    gates = sum(p.numel() for name, p in Recurrent().layer.named_parameters() if "weight" in name)
    assert rows[1].cost.flops > 2 * 6 * 10 * gates * (1 + 3)  # forward, and back for each output
    assert rows[2].path == TORCH_FUNC


def test_the_networks_own_parameters_have_their_names():
    names = {(row.layer, row.parameters) for row in explain_ntk(Attention("fused"), torch.randn(6, 32, 8)).rows}
    assert ("token", "token") in names and ("network", "token") not in names


def test_weights_that_torch_func_takes_no_gradient_of_need_no_memory_there():
    """A weight made of a recorded parameter, W/√n, in a network of which another parameter is left to `torch.func`."""

    def function(net, x):
        h = torch.tanh(F.linear(x, net.weight / 512**0.5))
        return F.bilinear(h[:, :8], h[:, 8:16], net.form)

    net = Net(function, weight=parameter(512, 512), form=parameter(4, 8, 8))
    table = explain_ntk(net, torch.randn(60, 512), memory_limit=64 * 2**20)
    assert table.rows[-1].path == TORCH_FUNC and table.tiles == 1
