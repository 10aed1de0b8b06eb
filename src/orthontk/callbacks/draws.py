"""What the studies of initialization share: other draws of a run's network, and a file for what they gave."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


def drawn_networks(module: pl.LightningModule, draws: int) -> Iterator[nn.Module]:
    """`draws` networks of the run's settings, other ones for every `seed`. The run's own network is left alone."""
    initializer = instantiate(module.config["init"])
    network = copy.deepcopy(module.network)
    for draw in range(draws):
        seed = module.config["seed"] * draws + draw
        yield initializer(network, generator=torch.Generator().manual_seed(seed))


def write_tensors(path: Path, tensors: dict[str, Tensor], settings: dict[str, Any]) -> None:
    """Replace `path` in one step by the tensors and plain `settings`."""
    partial = path.with_suffix(".partial")
    save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, partial, {"settings": json.dumps(settings)})
    partial.replace(path)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        return tensors, json.loads(file.metadata()["settings"])
