"""Initializers of a user's own, with settings of their own."""

import torch
from torch import nn

from orthontk.init import initialize


@torch.no_grad()
def constant(network: nn.Module, generator: torch.Generator, value: float, scheme: str | None = None) -> None:
    """All weights alike; there is nothing that could be coupled, and what it calls a scheme is a name."""
    for parameter in network.parameters():
        parameter.fill_(value)


def random_features(network: nn.Module, generator: torch.Generator) -> None:
    """Only the last layer is trained."""
    initialize(network, "gaussian", generator)
    for parameter in list(network.parameters())[:-2]:
        parameter.requires_grad_(False)


def scaled(draw: torch.Tensor, power: float) -> torch.Tensor:
    """A scheme with a setting: singular values s become s^power, less orthogonal the larger it is."""
    u, s, vt = torch.linalg.svd(draw.flatten(1), full_matrices=False)
    values = s**power
    values = values * (draw.numel() / values.square().sum()).sqrt()
    return ((u * values) @ vt).view_as(draw)
