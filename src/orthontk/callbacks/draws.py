"""What the studies of initialization share: other draws of a run's network."""

import copy
from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch import nn


def drawn_networks(module: pl.LightningModule, draws: int) -> Iterator[nn.Module]:
    """`draws` networks of the run's settings, other ones for every `seed`. The run's own network is left alone."""
    initializer = instantiate(module.config["init"])
    network = copy.deepcopy(module.network)
    for draw in range(draws):
        seed = module.config["seed"] * draws + draw
        yield initializer(network, generator=torch.Generator().manual_seed(seed))
