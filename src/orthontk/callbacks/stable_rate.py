"""The largest stable learning rate of a network at initialization."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer

from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.checks import InvalidValue
from orthontk.training.metrics import log_metrics

DECIDING = ("model", "init", "seed", "data", "loss", "optimizer")  # settings, less the learning rate


def check_stable_rate(config: DictConfig, name: str) -> None:
    """Refuse `callbacks.name`, a LargestStableRate, where the settings alone tell that there is no such rate.

    Raises:
        InvalidValue: naming the callback.
    """
    from orthontk.run.learning_rate import optimizer_of  # which imports the callbacks
    from orthontk.run.settings import InvalidSetting, naming

    with suppress(InvalidSetting):  # which its own run refuses
        with naming("optimizer", config.optimizer):
            optimizer = optimizer_of(config)
        with naming("loss", config.loss):
            loss = instantiate(config.loss, _convert_="all")
        with naming(f"callbacks.{name}"):
            LargestStableRate().check_training(loss, optimizer, nn.Linear(1, 1))


class LargestStableRate(ScheduledCallback):
    """Logs `lr/largest_stable`, of which `optimizer.lr_fraction` is a share.

    For cross-entropy, which has none that holds in every state, it is the bound 4N/λ_max. The replicas of an ensemble
    that differ in their learning rate alone have it computed once.
    """

    known: dict[str, float] = {}  # of this process, by what decides it

    def __init__(self) -> None:
        super().__init__([0])

    def check_module(self, module: pl.LightningModule) -> None:
        """Refuse a training that has no largest stable rate."""
        self.check_training(module.loss, module.optimizer_factory, module.network)

    def check_training(self, loss: nn.Module, optimizer: Callable[[Any], Optimizer], network: nn.Module) -> None:
        """The same, given what the training is made of; the optimizer is made of the network's parameters."""
        from orthontk.run.learning_rate import rate_factor_of  # which imports the callbacks

        try:
            rate_factor_of(loss, optimizer, network)
        except InvalidValue as error:
            raise self._refused("_target_", error) from error

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        from orthontk.run.learning_rate import largest_stable_lr_of

        settings = {name: module.config[name] for name in DECIDING}
        settings["optimizer"] = {k: v for k, v in settings["optimizer"].items() if not k.startswith("lr")}
        precision = str(next(module.network.parameters()).dtype)
        key = json.dumps([settings, str(module.device), precision], sort_keys=True, default=str)
        if key not in self.known:
            optimizer = module.optimizer_factory
            try:
                self.known[key] = largest_stable_lr_of(module.loss, optimizer, module.network, trainer.datamodule)
            except InvalidValue as error:  # such as Dropout
                raise self._refused("callbacks.largest_stable_rate._target_", error) from error
        log_metrics(trainer, {"lr/largest_stable": self.known[key]}, step)

    def _refused(self, key: str, error: InvalidValue) -> InvalidValue:
        accepted = f"another callback, as {error.name}={error.value} has no largest stable learning rate"
        accepted += "; ~callbacks.largest_stable_rate leaves it out"
        return InvalidValue(key, type(self).__name__, accepted)
