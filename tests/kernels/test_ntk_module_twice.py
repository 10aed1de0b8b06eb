"""A module that a network holds under two names: counted once, and left as it was."""

import pytest
import torch
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import NTKOperator, empirical_ntk, explain_ntk


@pytest.fixture
def twice(seeded) -> nn.Sequential:
    shared = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    return nn.Sequential(shared, nn.Tanh(), shared, nn.Tanh(), nn.Linear(3, 2)).eval()


class Once(nn.Module):
    """The same function, with each module under one name."""

    def __init__(self, twice: nn.Sequential) -> None:
        super().__init__()
        self.shared, self.readout = twice[0], twice[4]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(torch.tanh(self.shared(torch.tanh(self.shared(x)))))


def refused(net: nn.Module, x: torch.Tensor) -> None:
    with pytest.raises(InvalidValue, match="memory_limit"):
        empirical_ntk(net, x, memory_limit=1)


CALLS = {
    "kernel": lambda net, x: empirical_ntk(net, x),
    "kernel in float64": lambda net, x: empirical_ntk(net, x, dtype=torch.float64),
    "table": lambda net, x: explain_ntk(net, x),
    "operator": lambda net, x: NTKOperator(net, x) @ torch.ones(8).numpy(),
    "refusal": refused,
}


@pytest.mark.parametrize("call", CALLS)
def test_its_tensors_stay_in_place(twice, call):
    x = torch.randn(4, 3)
    before = [(id(tensor), type(tensor), tensor.requires_grad) for tensor in twice.state_dict(keep_vars=True).values()]
    for _ in range(2):
        CALLS[call](twice, x)
    after = [(id(tensor), type(tensor), tensor.requires_grad) for tensor in twice.state_dict(keep_vars=True).values()]
    assert after == before


def test_its_uses_add_up(twice):
    x = torch.randn(4, 3)
    expected = empirical_ntk(Once(twice), x)
    for _ in range(2):
        torch.testing.assert_close(empirical_ntk(twice, x), expected)
