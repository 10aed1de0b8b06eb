"""Initializers of a user's own, with settings of their own."""

import torch
from torch import nn


@torch.no_grad()
def constant(network: nn.Module, generator: torch.Generator, value: float) -> None:
    """All weights alike; there is nothing that could be coupled."""
    for parameter in network.parameters():
        parameter.fill_(value)
