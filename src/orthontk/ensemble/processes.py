"""Several devices: each process trains chunks of its own, and they exchange nothing but files."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from orthontk.run.resolved import resolved
from orthontk.run.settings import naming
from orthontk.slurm.interruption import leave_if_requested

Item = TypeVar("Item")
SECONDS_BETWEEN_LOOKS = 0.2


class Processes:
    """The processes that `trainer` asks for, started and numbered by Lightning's own strategy and its launcher.

    Replicas have nothing to synchronize: no process group is made, every process trains as if it were alone on its
    device, and the first one waits for what the others leave on disk.
    """

    def __init__(self, settings: DictConfig) -> None:
        with naming("trainer"):
            self.trainer: pl.Trainer = instantiate(
                resolved(settings, "tf32"), logger=False, enable_checkpointing=False, max_steps=0, max_epochs=None
            )  # it trains nothing
        strategy = self.trainer.strategy
        self.count = self.trainer.num_devices * self.trainer.num_nodes
        environment = getattr(strategy, "cluster_environment", None) if self.count > 1 else None
        self.local_rank, node = (environment.local_rank(), environment.node_rank()) if environment else (0, 0)
        self.rank = node * self.trainer.num_devices + self.local_rank

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def own_devices(self) -> Any:
        """What the Trainer of this process is to use."""
        return 1 if self.device.type == "cpu" else [self.device.index or 0]

    @property
    def device(self) -> torch.device:
        if self.count == 1:
            return self.trainer.strategy.root_device
        return self.trainer.strategy.parallel_devices[self.local_rank]

    def launch(self) -> None:
        """Start the other processes, which run this very command up to here; SLURM has started them already."""
        if self.count > 1:
            if self.trainer.strategy.launcher is not None:
                self.trainer.strategy.launcher.launch(lambda: None, trainer=self.trainer)
            _let_every_process_write()

    def share(self, items: Sequence[Item]) -> list[Item]:
        """Every so many of `items`, so that neighbours, which take about as long, go to different processes."""
        return list(items)[self.rank :: self.count]

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Wait for what other processes leave on disk; one that dies ends all, which Lightning or SLURM sees to."""
        while not done():
            leave_if_requested()
            time.sleep(SECONDS_BETWEEN_LOOKS)


def _let_every_process_write() -> None:
    """Undo Lightning's rule that the first process writes for all: every chunk has its own files."""
    from lightning_fabric.utilities import rank_zero as fabric
    from pytorch_lightning.utilities import rank_zero

    for module in (fabric, rank_zero):
        module.rank_zero_only.rank = 0
