"""What a training minimizes and what it is updated by: the loss, the optimizer, the schedule."""

import copy
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.inheritance import runs_as
from orthontk.run.learning_rate import optimizer_of
from orthontk.run.resolved import resolved
from orthontk.run.settings import naming


def build_loss(config: DictConfig, data: TensorDataModule) -> nn.Module:
    """The loss; of a single output, a softmax would be 1 whatever the network says.

    Data of a single class may have it all the same where nothing is trained, as in studies of kernels.
    """
    with naming("loss", config.loss):
        loss = instantiate(config.loss, _convert_="all")
    single = 1 in (config.model.get("out_features"), data.classes)
    has_use = data.classes > 1 or total_steps(config.trainer, data) > 0
    if single and has_use and runs_as(loss, nn.CrossEntropyLoss, nn.NLLLoss):
        raise InvalidValue("loss", type(loss).__name__, "mse, as a single output has no softmax")
    with naming("loss", config.loss):
        _try_loss(loss, config, data.classes)
    return loss


def _try_loss(loss: nn.Module, config: DictConfig, classes: int) -> None:
    """Compute the loss of outputs as the training has them."""
    size = config.model.get("out_features") or classes
    examples = max(size, classes) + 1  # as many as do not broadcast
    outputs = torch.zeros(examples, size, dtype=torch.float64 if config.trainer.precision == "64-true" else None)
    trial = loss_to_try(loss, outputs.dtype)
    with warnings.catch_warnings(action="ignore"):  # what is about to be refused
        trial(outputs, torch.arange(examples) % classes)


def loss_to_try(loss: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy, as one with a memory would remember a trial; Lightning makes modules double, and to no other type."""
    trial = copy.deepcopy(loss)
    return trial.double() if dtype == torch.float64 and isinstance(trial, nn.Module) else trial


def build_optimization(config: DictConfig, network: nn.Module, data: TensorDataModule) -> tuple[Any, Any]:
    """What makes the optimizer, and the schedule or None; both are tried here, where a refusal can name its key."""
    with naming("optimizer", config.optimizer):
        optimizer = optimizer_of(config)
        _try_optimizer(optimizer, network)
    if not config.schedule:
        return optimizer, None
    if config.schedule.get("_target_") is None:
        raise InvalidValue("schedule._target_", None, "a class, as schedule=NAME brings with it")
    with naming("schedule", config.schedule):
        schedule = instantiate(resolved_schedule(config, data), _convert_="all")
        steps = total_steps(config.trainer, data)  # all of them, as some schedules have an end
        rates = _rates(optimizer, schedule, network, steps)
        follows = _follow(rates, _rates(*_with_another_rate(config, schedule, data), network, steps))
        for _ in rates:
            pass
    if not follows:
        accepted = "a schedule whose rates depend on those given, with max_lr=${optimizer.lr}, say, in single runs"
        raise InvalidValue("schedule", config.schedule._target_, accepted)
    return optimizer, schedule


def _try_optimizer(optimizer: Any, network: nn.Module) -> None:
    """One step on a copy of the parameters, whose gradients are zero; what it draws, the training draws again."""
    copies = [nn.Parameter(own.detach().clone(), own.requires_grad) for own in network.parameters()]
    for parameter in copies:
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    trial = optimizer(copies)
    # Of capturable=true, which takes parameters on a GPU only, where they are not yet.
    with suppress(AssertionError), torch.random.fork_rng(devices=[]):
        trial.step(lambda: torch.zeros(()))


def _rates(optimizer: Any, schedule: Any, network: nn.Module, steps: int) -> Iterator[list[float]]:
    """The learning rate of every group at every step."""
    trial = optimizer(network.parameters())
    trial_schedule = schedule(trial)
    if isinstance(trial_schedule, ReduceLROnPlateau):
        raise InvalidValue("_target_", "ReduceLROnPlateau", "a schedule of the step alone")
    trial.step(lambda: torch.zeros(()))  # without gradients, so nothing moves
    for _ in range(steps):
        yield [group["lr"] for group in trial.param_groups]
        trial_schedule.step()


def _follow(rates: Iterator[list[float]], others: Iterator[list[float]]) -> bool:
    """Whether two learning rates differ at some step, or are 0 at all: those of a warm-up that has only begun."""
    have_begun = False
    for own, other in zip(rates, others, strict=False):
        if own != other:
            return True
        have_begun = have_begun or any(own)
    return not have_begun


def _with_another_rate(config: DictConfig, schedule: Any, data: TensorDataModule) -> tuple[Any, Any]:
    """Optimizer and schedule at twice the learning rate; replicas of several rates share the schedule's settings."""
    other = copy.deepcopy(config)
    other.optimizer.lr = 2 * config.optimizer.lr
    if config.ensemble.learning_rates is None:
        schedule = instantiate(resolved_schedule(other, data), _convert_="all")
    return optimizer_of(other), schedule


def resolved_schedule(config: DictConfig, data: TensorDataModule) -> DictConfig:
    """A copy of the schedule's settings whose `T_max`, where it has one that is null, is the length of the training."""
    schedule = resolved(config.schedule)
    if "T_max" in schedule and schedule.T_max is None:
        schedule.T_max = max(total_steps(config.trainer, data), 1)
    return schedule


def total_steps(trainer: DictConfig, data: TensorDataModule) -> int:
    """Updates until `trainer.max_steps` or `trainer.max_epochs`, whichever comes first."""
    limits = [] if trainer.max_steps is None else [trainer.max_steps]
    if trainer.max_epochs is not None:
        limits.append(trainer.max_epochs * data.steps_per_epoch)
    return min(limits)
