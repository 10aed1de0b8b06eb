"""From a configuration to objects: data → network → initialization → module → callbacks, loggers, trainer."""

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from orthontk.callbacks import Checkpoints, Progress
from orthontk.checks import InvalidValue, number
from orthontk.data import TensorDataModule
from orthontk.loggers import MetricsCSV
from orthontk.run.directory import RunDirectory
from orthontk.run.isolation import SeededSteps, seed_global_generators
from orthontk.run.learning_rate import lr_of_fraction
from orthontk.run.optimization import build_loss, build_optimization, resolved_schedule, total_steps
from orthontk.run.resolved import resolved
from orthontk.run.settings import naming
from orthontk.training import TrainingModule


@dataclass
class Experiment:
    """Everything that one run is made of."""

    trainer: pl.Trainer
    module: TrainingModule
    data: TensorDataModule


def assemble(config: DictConfig, directory: RunDirectory) -> Experiment:
    """Build a run. Randomness: `seed` draws the parameters, `data.seed` everything about the data."""
    data = build_data(config)
    network = build_network(config, data)
    resolve_lr(config, network, data, directory)
    module = build_module(config, network, data)
    trainer = build_trainer(config, directory, data, module)
    return Experiment(trainer, module, data)


def build_data(config: DictConfig) -> TensorDataModule:
    first_layer = _first_layer(config.model) if config.data.get("normalize") == "qstar" else None
    with naming("data"):
        data = instantiate(config.data)
        if first_layer is not None:
            data.set_first_layer(**first_layer)
        data.setup("fit")
    return data


def _first_layer(model: DictConfig) -> dict[str, float]:
    """What inputs are rescaled by under `data.normalize=qstar`: σ_w², σ_b² and the fixed point q*."""
    from orthontk.meanfield import fixed_point

    if not {"activation", "weight_var", "bias_var"} <= set(model):
        accepted = "a network with model.activation, model.weight_var and model.bias_var, or another normalization"
        raise InvalidValue("data.normalize", "qstar", accepted)
    model = resolved_model(model)
    with naming("model"):
        activation = _activation(model)
        try:
            q_star = fixed_point(activation, model.weight_var, model.bias_var)
        except InvalidValue as error:
            if model.get("critical") is None:
                raise
            variances = f"weight_var={model.weight_var:g} and bias_var={model.bias_var:g}"
            accepted = f"null, or another data.normalize than qstar, as {variances} have no stable fixed point"
            raise InvalidValue("critical", model.critical, accepted) from error
    return {"q_star": q_star, "weight_var": model.weight_var, "bias_var": model.bias_var}


def _activation(model: DictConfig) -> nn.Module:
    from orthontk.networks import make_activation

    return make_activation(instantiate(model.activation) if OmegaConf.is_config(model.activation) else model.activation)


def resolved_model(model: DictConfig) -> DictConfig:
    """A copy whose σ_w² and σ_b² are those of the critical line at `critical`, where that is not null.

    Raises:
        InvalidValue: naming `model.critical`, if the activation has no critical line there.
    """
    model = resolved(model)
    if model.get("critical") is None:
        return model
    from orthontk.meanfield import critical_point

    q_star = number("model.critical", model.critical, above=0)
    with naming("model"):
        activation = _activation(model)
    try:
        model.weight_var, model.bias_var = critical_point(activation, q_star)
    except InvalidValue as error:
        raise InvalidValue("model.critical", q_star, error.accepted) from error
    return model


def build_network(config: DictConfig, data: TensorDataModule) -> nn.Module:
    """The network of `model`, drawn by `init` with `seed`, in the precision it is trained in."""
    model = resolved_model(config.model)
    model.pop("critical", None)  # a matter of configurations: networks know their variances only
    outputs = _outputs(model.pop("out_features", None), data.classes)
    seed_global_generators(config.seed)  # which layers that are not ours draw from
    with naming("model", model):
        family = instantiate(model, _partial_=True)
        sizes = _sizes(family.func, data, outputs)
        for name, size in sizes.items():
            if model.get(name) not in (None, list(size) if isinstance(size, tuple) else size):
                raise InvalidValue(name, model[name], f"{size}, as the data have it")
        network = family(**sizes)
    if config.trainer.precision == "64-true":
        network = network.double()
    with naming("init", config.init):
        instantiate(config.init)(network, generator=torch.Generator().manual_seed(config.seed))
    return network


def _outputs(out_features: int | None, classes: int) -> int:
    if out_features in (None, classes):
        return classes
    if out_features != 1 or classes > 2:
        accepted = f"null or {classes}, the number of classes" + ", or 1" * (classes == 2)
        raise InvalidValue("model.out_features", out_features, accepted)
    return 1


def _sizes(family: type, data: TensorDataModule, outputs: int) -> dict[str, Any]:
    """Those input and output sizes that a network's constructor asks for."""
    shape = data.input_shape
    sizes = {"in_features": math.prod(shape), "out_features": outputs}
    if len(shape) == 3:
        sizes |= {"in_channels": shape[0], "image_size": tuple(shape[1:])}
    parameters = inspect.signature(family).parameters
    missing = {"in_channels", "image_size"} & set(parameters) - set(sizes)
    if missing:
        raise InvalidValue("_target_", family.__name__, f"a network on vectors, since inputs have shape {shape}")
    return {name: size for name, size in sizes.items() if name in parameters}


def resolve_lr(config: DictConfig, network: nn.Module, data: TensorDataModule, directory: RunDirectory) -> None:
    """Let `optimizer.lr` be what `optimizer.lr_fraction` says, where that is not null; a resumed run keeps its own."""
    fraction = config.optimizer.get("lr_fraction")
    if fraction is None or config.mode == "test":
        return
    if directory.checkpoint is not None:
        before = (read_checkpoint(directory.checkpoint, "resume").get("config") or {}).get("optimizer") or {}
        if before.get("lr_fraction") == fraction:
            config.optimizer.lr = before["lr"]
            return
    config.optimizer.lr = lr_of_fraction(config, network, data)


def build_module(config: DictConfig, network: nn.Module, data: TensorDataModule) -> TrainingModule:
    loss = build_loss(config, data)
    settings = OmegaConf.to_container(config, resolve=True)
    settings["schedule"] = OmegaConf.to_container(resolved_schedule(config, data))  # which a longer training changes
    return TrainingModule(network, loss, *build_optimization(config, network, data), settings)


def build_trainer(
    config: DictConfig, directory: RunDirectory, data: TensorDataModule, module: TrainingModule
) -> pl.Trainer:
    first_step = steps_in(directory.checkpoint)
    with naming("checkpoint"):
        callbacks = [Checkpoints(**config.checkpoint)]
    for name, node in (config.get("callbacks") or {}).items():
        with naming(f"callbacks.{name}"):
            callbacks.append(instantiate(node))
            if hasattr(callbacks[-1], "check_data"):
                callbacks[-1].check_data(data)
            if hasattr(callbacks[-1], "check_module"):
                callbacks[-1].check_module(module)
    if config.trainer.enable_progress_bar:
        callbacks.append(Progress())
    callbacks.append(SeededSteps(config.seed))  # last, when all others have drawn
    csv = MetricsCSV(directory.path, first_step, directory.origin)
    loggers = [csv, *build_loggers(config, directory.path, first_step)]
    return make_trainer(config, directory.path, data, callbacks, loggers)


def build_loggers(config: DictConfig, path: Path, first_step: int = 0) -> list[Any]:
    """Those of `logger`, for the run in a directory that trains from `first_step` on."""
    loggers = []
    for name, node in (config.logger or {}).items():
        with naming(f"logger.{name}"):
            loggers.append(instantiate(node, path, first_step))
    return loggers


def make_trainer(
    config: DictConfig, path: Path, data: TensorDataModule, callbacks: list[pl.Callback], loggers: list[Any], **own: Any
) -> pl.Trainer:
    """Lightning's Trainer as this project uses it; `own` replaces settings of `trainer`."""
    with naming("trainer"):
        return instantiate(
            resolved(config.trainer, "tf32"),  # which is none of Lightning's
            max_steps=total_steps(config.trainer, data),
            max_epochs=-1,  # steps alone end a training
            check_val_every_n_epoch=None,  # val_check_interval counts steps
            limit_val_batches=1.0 if data.val is not None else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # our batches are split over devices already
            enable_model_summary=False,
            default_root_dir=path,
            callbacks=callbacks,
            logger=loggers,
            **own,
        )


@contextmanager
def interruptible() -> Iterator[None]:
    """Around whatever a Trainer does: of Ctrl-C, Lightning makes an exit that says nothing."""
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None


def steps_in(checkpoint: Path | None) -> int:
    """The step of the checkpoint that a run continues from; 0 for a new run."""
    return 0 if checkpoint is None else read_checkpoint(checkpoint, "resume")["global_step"]


def read_checkpoint(path: Any, key: str) -> dict[str, Any]:
    """A checkpoint's plain content; nothing in the file is executed.

    Raises:
        InvalidValue: naming `key`, for a missing or damaged file.
    """
    from pickle import UnpicklingError

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, UnpicklingError, KeyError, ValueError) as error:
        raise InvalidValue(key, path, "a readable checkpoint file") from error
    if not isinstance(content, dict) or not {"state_dict", "global_step"} <= content.keys():
        raise InvalidValue(key, path, "a checkpoint written by a training run")
    return content
