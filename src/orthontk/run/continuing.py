"""What a checkpoint has in common with the run that takes it up: to train on from it, or to evaluate it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from orthontk.checks import InvalidValue
from orthontk.identity import first_difference
from orthontk.run.assemble import Experiment
from orthontk.training import TrainingModule

# Settings of the trainer that may change when a run goes on: how long, where, and what is shown of it.
LENGTH, PLACE = {"max_steps", "max_epochs"}, {"accelerator", "devices", "num_nodes", "strategy", "plugins"}
SHOWN = {"val_check_interval", "log_every_n_steps", "enable_progress_bar", "profiler"}
WITHOUT_EFFECT_ON_UPDATES = LENGTH | PLACE | SHOWN
OF_BEGINNING = ("model", "init", "seed", "data", "loss", "optimizer", "schedule", "callbacks")
# Settings of the data that decide what inputs a network is given, and those that the statistics of training images do.
OF_INPUTS, OF_STATISTICS = ("source", "keep_classes", "pool", "normalize"), ("train_size", "val_size", "seed")


def require_same_network(module: pl.LightningModule, content: dict[str, Any], checkpoint: Path, key: str) -> None:
    stored = {name: tuple(value.shape) for name, value in content["state_dict"].items()}
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    if "ensemble" in content:
        raise InvalidValue(key, checkpoint, "a checkpoint of a single run, and this one is an ensemble's")
    for name in sorted(stored.keys() | expected.keys()):
        if stored.get(name) != expected.get(name):
            shapes = f"{name} of shape {expected.get(name)} (model=…), not {stored.get(name)}"
            raise InvalidValue(key, checkpoint, f"a checkpoint of this network, {shapes}")


def require_same_evaluation(module: TrainingModule, content: dict[str, Any], checkpoint: Path) -> None:
    """A checkpoint is evaluated as the network that was trained, on inputs as it was given.

    One without settings is taken for what the command line says.

    Raises:
        InvalidValue: naming `ckpt_path`, and the first key that differs.
    """
    require_same_network(module, content, checkpoint, "ckpt_path")
    before = content.get("config")
    found = first_difference(*map(_of_evaluation, (before, module.config))) if before else None
    if found is not None:
        key, was, _ = found
        accepted = f"a checkpoint of a run with the same {key}, which was {'null' if was is None else was}"
        raise InvalidValue("ckpt_path", checkpoint, accepted)


def _of_evaluation(config: Mapping[str, Any]) -> dict[str, Any]:
    model, data = dict(config["model"]), config["data"]
    model.pop("critical", None)  # which has become variances
    keys = OF_INPUTS + OF_STATISTICS * (data.get("normalize") == "standardize")
    return {"model": model, "data": {key: data.get(key) for key in keys}}


def require_same_beginning(module: TrainingModule, before: Mapping[str, Any] | None, checkpoint: Path) -> None:
    """A run continued elsewhere may be longer, but what it is measured against and updated by must be the same.

    Θ_t and W_t are compared with Θ_0 and W_0 on the run's probe, and Lightning restores the optimizer's own settings.
    """
    if before is None:
        raise InvalidValue("resume", checkpoint, "a checkpoint that holds its run's settings")
    if found := first_difference(*map(_of_beginning, (before, module.config))):
        raise InvalidValue("resume", checkpoint, _with_the_same(*found))
    trainers = before["trainer"], module.config["trainer"]
    for key in sorted({key for trainer in trainers for key in trainer} - WITHOUT_EFFECT_ON_UPDATES):
        was, is_now = (trainer.get(key) or None for trainer in trainers)  # nothing, 0 and false are one
        if was != is_now:
            accepted = _with_the_same(f"trainer.{key}", *(trainer.get(key) for trainer in trainers))
            raise InvalidValue("resume", checkpoint, accepted)


def _with_the_same(key: str, was: Any, is_now: Any) -> str:
    """Of whole groups and callbacks no more than the name."""
    accepted = f"a checkpoint of a run with the same {key}"
    if isinstance(was, Mapping) or isinstance(is_now, Mapping):
        return accepted
    was, is_now = ("null" if value is None else value for value in (was, is_now))
    return f"{accepted}, which was {was} and is {is_now} now"


def _of_beginning(config: Mapping[str, Any]) -> dict[str, Any]:
    settings = {key: config[key] for key in OF_BEGINNING}
    return settings | {"data": {key: value for key, value in config["data"].items() if key != "eval_batch_size"}}


def require_steps_left(settings: DictConfig, experiment: Experiment, done: int, checkpoint: Path) -> None:
    """Refuse a run that would have made more updates than its settings say."""
    if done <= experiment.trainer.max_steps:
        return
    name, least = "max_steps", done
    if settings.max_steps != experiment.trainer.max_steps:
        name, least = "max_epochs", math.ceil(done / experiment.data.steps_per_epoch)
    accepted = f"at least {least}, as {checkpoint} has made {done} updates already"
    raise InvalidValue(f"trainer.{name}", settings[name], accepted)
