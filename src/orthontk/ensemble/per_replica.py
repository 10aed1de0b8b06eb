"""Callbacks that look at one network, for the replicas of an ensemble: kernels, weight drift, predictions."""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from orthontk.callbacks.schedule import ScheduledCallback, measured_steps
from orthontk.checks import InvalidValue
from orthontk.ensemble.at_once import at_once
from orthontk.ensemble.module import EnsembleModule
from orthontk.ensemble.replicas import Replica
from orthontk.files import write_json


class ReplicaModule:
    """What a callback uses of a LightningModule, for the replica in a row of the stack."""

    def __init__(self, module: EnsembleModule, row: int, config: dict[str, Any]) -> None:
        self.module, self.row, self.config = module, row, config
        self.loss, self.schedule_factory = module.loss, module.schedule_factory

    @cached_property
    def network(self) -> nn.Module:
        return self.module.network.network(self.row)

    @property
    def device(self) -> torch.device:
        return next(self.module.network.parameters()).device

    def to(self, device: torch.device) -> None:
        self.module.to(device)

    def optimizer_factory(self, parameters: Any) -> torch.optim.Optimizer:
        rate = self.module.replicas[self.row].learning_rate
        return self.module.optimizer_factory([{"params": list(parameters), "lr": rate}])


class ReplicaTrainer:
    """The trainer as one replica's callback sees it: with its own directory, data, rate and rows in `metrics.csv`."""

    def __init__(self, trainer: pl.Trainer, replica: Replica, directory: Path) -> None:
        self.trainer, self.replica, self.default_root_dir = trainer, replica, directory
        self.logger, self.loggers = self, [self]
        self.callback_metrics: dict[str, Any] = {}
        self.later: list[tuple[Callable[[], dict[str, float]], int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    @property
    def datamodule(self) -> pl.LightningDataModule:
        return self.trainer.datamodule.of(self.replica)

    @property
    def optimizers(self) -> list[SimpleNamespace]:
        """The settings of the replica's learning rate, to be read: changing them would change other replicas'."""
        place = self.trainer.lightning_module.rates.index(self.replica.learning_rate)
        group = self.trainer.optimizers[0].param_groups[place]
        settings = {name: value for name, value in group.items() if name != "params"}
        return [SimpleNamespace(param_groups=[MappingProxyType(settings)])]

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            for logger in self.trainer.loggers:
                logger.log_replicas(name, [value], step, [self.replica])

    def log_later(self, compute: Callable[[], dict[str, float]], step: int) -> None:
        self.later.append((compute, step))


class PerReplica(pl.Callback):
    """Runs a callback of its own for each of some replicas, with files under `replicas/<name>/`.

    Args:
        name: of the callback in the configuration.
        make: makes a new callback.
        chosen: the replicas to run it for.
        directory: of the run.
        config_of: the settings of a replica's single run.
        limits: kernels of infinite width that other chunks have computed; what is new is added.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], ScheduledCallback],
        chosen: Sequence[Replica],
        directory: Path,
        config_of: Callable[[Replica], dict[str, Any]],
        limits: dict[Any, torch.Tensor],
    ) -> None:
        self.name, self.directory, self.config_of = name, directory, config_of
        self.chosen = chosen
        self.callbacks = {replica.number: make() for replica in chosen}
        self._share_limits(limits)

    def _share_limits(self, limits: dict[Any, torch.Tensor]) -> None:
        """Compute a limit once for the replicas that have the same: those of one initialization, on the same data."""
        for replica in self.chosen:
            callback = self.callbacks[replica.number]
            if hasattr(callback, "limit_of"):
                kind = self.name, replica.init, self.config_of(replica)["data"]["seed"]
                callback.limit_of = _remembered(callback.limit_of, limits, kind)

    @property
    def state_key(self) -> str:
        return f"PerReplica.{self.name}"

    def check(self, module: EnsembleModule) -> None:
        """Refuse what the callback refuses for one network and its data."""
        for row, replica in enumerate(module.replicas):
            if replica.number in self.callbacks and hasattr(self.callbacks[replica.number], "check_module"):
                self.callbacks[replica.number].check_module(ReplicaModule(module, row, self.config_of(replica)))

    def _each(self, hook: str, trainer: pl.Trainer, module: EnsembleModule, *arguments: Any) -> None:
        self._some(range(len(module.replicas)), hook, trainer, module, *arguments)

    def _some(
        self, rows: Sequence[int], hook: str, trainer: pl.Trainer, module: EnsembleModule, *arguments: Any
    ) -> None:
        """Call the hook for the replicas in some rows, then log what they have left for later."""
        chosen = [row for row in rows if module.replicas[row].number in self.callbacks]
        trainers = [self._call(hook, trainer, module, row, *arguments) for row in chosen]
        later = [(own, compute, step) for own in trainers for compute, step in own.later]
        if later:
            computes = [compute for _, compute, _ in later]
            on_cpu = next(module.network.parameters()).device.type == "cpu"  # a GPU has one thing to do at a time
            computed = at_once(computes) if on_cpu else [compute() for compute in computes]
            for (own, _, step), metrics in zip(later, computed, strict=True):
                own.log_metrics(metrics, step)

    def _call(
        self, hook: str, trainer: pl.Trainer, module: EnsembleModule, row: int, *arguments: Any
    ) -> ReplicaTrainer:
        replica = module.replicas[row]
        directory = self._folder(replica)
        directory.mkdir(parents=True, exist_ok=True)
        own = ReplicaTrainer(trainer, replica, directory)
        settings = self.config_of(replica)
        getattr(self.callbacks[replica.number], hook)(own, ReplicaModule(module, row, settings), *arguments)
        return own

    def _folder(self, replica: Replica) -> Path:
        return self.directory / "replicas" / replica.name

    def setup(self, trainer: pl.Trainer, pl_module: EnsembleModule, stage: str) -> None:
        if stage == "fit":
            self._each("setup", trainer, pl_module, stage)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        for replica in pl_module.replicas:
            if replica.number in self.callbacks:
                write_json(self._folder(replica) / "replica.json", replica.identity)
        self._require_files_of(pl_module.ended)
        self._each("on_fit_start", trainer, pl_module)

    def _require_files_of(self, ended: Collection[int]) -> None:
        """What replicas that have ended left, nothing writes again."""
        for replica in self.chosen:
            callback = self.callbacks[replica.number]
            if replica.number in ended and hasattr(callback, "require_file"):
                callback.require_file(self._folder(replica))

    def on_train_start(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        steps = next((callback.steps for callback in self.callbacks.values()), [])
        self.due = frozenset(measured_steps(steps, trainer.max_steps))
        self._each("on_train_start", trainer, pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: EnsembleModule, *batch: object) -> None:
        if trainer.global_step in self.due:
            self._each("on_train_batch_end", trainer, pl_module, *batch)

    def on_replicas_end(self, trainer: pl.Trainer, pl_module: EnsembleModule, rows: Sequence[int]) -> None:
        """What the callback does when a single training ends, for replicas that end before the others."""
        self._some(rows, "on_fit_end", trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: EnsembleModule) -> None:
        self._each("on_fit_end", trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: EnsembleModule, exception: BaseException) -> None:
        self._each("on_exception", trainer, pl_module, exception)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: EnsembleModule, checkpoint: dict[str, Any]) -> None:
        self._each("on_save_checkpoint", trainer, pl_module, checkpoint)

    def state_dict(self) -> dict[int, dict[str, Any]]:
        return {number: callback.state_dict() for number, callback in self.callbacks.items()}

    def load_state_dict(self, state_dict: dict[int, dict[str, Any]]) -> None:
        for number, state in state_dict.items():
            self.callbacks[number].load_state_dict(state)


def check_hooks(kind: type[ScheduledCallback]) -> None:
    """Refuse a callback with a hook that `PerReplica` would not call, or not after every step.

    Raises:
        InvalidValue: naming the hook, and those that it may have.
    """
    hooks = {hook for hook in vars(pl.Callback) if hook.startswith("on_")}
    passed_on = hooks & vars(PerReplica).keys() - {"on_train_batch_end"}  # at the scheduled steps only
    for hook in sorted(hooks - passed_on):
        if getattr(kind, hook) is not getattr(ScheduledCallback, hook):
            accepted = f"a callback that overrides no hooks but {', '.join(sorted(passed_on))}, in an ensemble"
            raise InvalidValue("_target_", f"{kind.__name__}.{hook}", accepted)


def _remembered(function: Callable[..., torch.Tensor], known: dict[Any, torch.Tensor], key: Any) -> Callable:
    def remembered(*arguments: Any) -> torch.Tensor:
        if key not in known:
            known[key] = function(*arguments)
        return known[key]

    return remembered


def chosen_replicas(replicas: Sequence[Replica], kernels: str | int) -> list[Replica]:
    """Those that `ensemble.kernels` names: all, none, or the first few seeds of each initialization and rate."""
    if kernels == "all":
        return list(replicas)
    if kernels == "none":
        return []
    seeds = list(dict.fromkeys(replica.seed for replica in replicas))[:kernels]
    return [replica for replica in replicas if replica.seed in seeds]
