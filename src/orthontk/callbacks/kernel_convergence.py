"""How far the kernels of randomly drawn networks are from those of infinite width."""

import copy
from collections.abc import Iterator
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from orthontk.callbacks import infinite_limit
from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.checks import InvalidValue, integer, one_of
from orthontk.data import TensorDataModule
from orthontk.init import SCHEMES
from orthontk.kernels import empirical_ntk, infinite_kernels
from orthontk.kernels.empirical_nngp import empirical_nngp
from orthontk.run.directory import KERNEL_DRAWS
from orthontk.tensor_files import write_tensors
from orthontk.training.metrics import log_metrics


class KernelConvergence(ScheduledCallback):
    """Draws networks of the run's settings and compares their kernels with the limit; Fig. 1.

    Writes `kernel_draws.safetensors`: `nngp` and `ntk` (M, N, N) of every draw, the limits that they are compared with
    `nngp_limit` and `ntk_limit` (N, N), and the Gaussian ones `nngp_gaussian` and `ntk_gaussian`. Logs
    `convergence/<kernel>`, the mean over draws of ‖K̂−K∞‖_F/‖K∞‖_F. Needs no training: `trainer.max_steps=0`.

    Args:
        draws: M, networks; other ones for every `seed`.
        inputs: N, a class-balanced sample of the training set.
        limit: the scheme whose limit they are compared with; None: that of the initialization, which is known of the
            schemes of this package.
    """

    def __init__(self, draws: int = 32, inputs: int = 20, limit: str | None = None) -> None:
        super().__init__([0])
        self.limit = None if limit is None else one_of("limit", limit, tuple(SCHEMES))
        self.draws, self.inputs = integer("draws", draws), integer("inputs", inputs)

    def check_data(self, data: TensorDataModule) -> None:
        data.probe(self.inputs, name="inputs")

    def check_module(self, module: pl.LightningModule) -> None:
        if not infinite_limit.has_infinite_kernels(module, self.limit):
            accepted = "a scheme whose limit is known for this network, such as gaussian"
            raise InvalidValue("limit", self.limit, accepted)

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        x = trainer.datamodule.probe(self.inputs)[0].to(next(module.network.parameters()))
        own = infinite_limit.kernels_of_limit(module, x, scheme=self.limit)
        gaussian = infinite_kernels(module.network, x)
        kernels = {"nngp": [], "ntk": []}
        for network in _drawn_networks(module, self.draws):
            kernels["nngp"].append(empirical_nngp(network, x).cpu())
            kernels["ntk"].append(empirical_ntk(network, x, outputs="trace", dtype=torch.float64).double().cpu())
        tensors = {name: torch.stack(draws) for name, draws in kernels.items()}
        tensors |= {"nngp_limit": own.nngp, "ntk_limit": own.ntk}
        tensors |= {"nngp_gaussian": gaussian.nngp, "ntk_gaussian": gaussian.ntk}
        log_metrics(trainer, {f"convergence/{name}": _mean_error(tensors, name) for name in kernels}, step)
        if trainer.is_global_zero:
            write_tensors(Path(trainer.default_root_dir) / KERNEL_DRAWS, tensors, {"draws": self.draws})


def _drawn_networks(module: pl.LightningModule, draws: int) -> Iterator[nn.Module]:
    """Networks of the run's settings, other ones for every `seed`. The run's own network is left alone."""
    initializer = instantiate(module.config["init"])
    network = copy.deepcopy(module.network)
    for draw in range(draws):
        seed = module.config["seed"] * draws + draw
        yield initializer(network, generator=torch.Generator().manual_seed(seed))


def _mean_error(tensors: dict[str, Tensor], kernel: str) -> float:
    limit = tensors[f"{kernel}_limit"].cpu()
    errors = torch.linalg.matrix_norm(tensors[kernel] - limit) / torch.linalg.matrix_norm(limit)
    return errors.mean().item()
