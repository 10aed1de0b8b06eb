"""A network given as a function, and its usual parts."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """A forward pass that is given as a function of the module and its input."""

    def __init__(self, function: Callable, **parts: object) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape))


def two_layers() -> dict[str, nn.Module]:
    return {"first": nn.Linear(4, 4), "readout": nn.Linear(4, 3)}


def chosen_by_example(net, x):
    """The first layer of a `Net` or another, by the sign of an example's first entry."""
    hidden = [(net.first if row[0, 0] > 0 else net.other)(row) for row in x.split(1)]
    return net.readout(torch.tanh(torch.cat(hidden)))
