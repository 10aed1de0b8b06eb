"""Refuse bad settings by the key a user would change, before anything is computed."""

import inspect
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from orthontk.checks import InvalidValue, boolean, check_seed, integer, number, one_of
from orthontk.ensemble.replicas import is_ensemble
from orthontk.ensemble.settings import check_ensemble, check_replaced
from orthontk.grids import SCALES
from orthontk.identity import ENSEMBLE_AXES
from orthontk.own_code import how_found, in_own_code
from orthontk.run.known_keys import ENSEMBLE, check_added, check_known
from orthontk.run.same_settings import DECIDES
from orthontk.run.trainer_settings import check_trainer

MODES = ("fit", "test")
# Settings of torch's optimizers and schedules, some of which fail only when a step first uses them.
NUMBERS = {"momentum", "alpha", "eps", "weight_decay", "dampening", "gamma", "T_max", "eta_min"}
BOUNDS = {"momentum": {"minimum": 0, "below": 1}, "gamma": {"minimum": 0}, "T_max": {"above": 0}}
UNNAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class InvalidSetting(ValueError):
    """A setting that the object it belongs to refused, with that object's own words."""


def check_settings(config: DictConfig) -> None:
    """Check the keys that no constructor of ours checks.

    Raises:
        InvalidValue: naming the key and what is accepted.
    """
    if config.checkpoint is None:
        raise InvalidValue("checkpoint", None, "checkpoint.every_n_steps and checkpoint.keep")
    check_known(config)
    one_of("mode", config.mode, MODES)
    if config.mode == "test" and config.ckpt_path is None:
        accepted = "the path of a checkpoint or a run directory with one, since mode=test evaluates it"
        raise InvalidValue("ckpt_path", None, accepted)
    if config.mode == "fit" and config.ckpt_path is not None:
        accepted = "null, since only mode=test evaluates it; resume continues a checkpoint's run"
        raise InvalidValue("ckpt_path", config.ckpt_path, accepted)
    if config.mode == "test" and config.resume not in (None, "auto", "never"):
        raise InvalidValue("resume", config.resume, "auto or never, since mode=test measures ckpt_path alone")
    if config.resume is None:
        raise InvalidValue("resume", None, "auto, never, or the path of a checkpoint or a run directory with one")
    if config.scale is not None:
        one_of("scale", config.scale, SCALES)
    check_seed("seed", config.seed)
    number("optimizer.lr", config.optimizer.get("lr"), above=0)
    for group in ("optimizer", "schedule"):
        for name in NUMBERS & set(config[group]):
            value = config[group][name]
            is_length_of_training = (name, value) == ("T_max", None)
            if not is_length_of_training and not OmegaConf.is_list(value):  # such as Adafactor's two eps
                number(f"{group}.{name}", value, **BOUNDS.get(name, {}))
    if "betas" in config.optimizer and str(config.optimizer.get("_target_")).startswith("torch."):
        _check_betas(config.optimizer.betas)
    if "step_size" in config.schedule:
        integer("schedule.step_size", config.schedule.step_size)
    if str(config.loss.get("_target_")).startswith("torch."):  # whose losses look at these when they are first used
        one_of("loss.reduction", config.loss.get("reduction", "mean"), ("mean", "sum"))
        smoothing = config.loss.get("label_smoothing", 0)
        if number("loss.label_smoothing", smoothing, minimum=0) > 1:
            raise InvalidValue("loss.label_smoothing", smoothing, "a finite number between 0 and 1")
    boolean("figures", config.figures)
    check_trainer(config.trainer)
    if is_ensemble(config):
        check_ensemble(config)


def _check_betas(betas: Any) -> None:
    if not OmegaConf.is_list(betas) or len(betas) != 2:
        raise InvalidValue("optimizer.betas", betas, "two numbers, as in [0.9,0.999]")
    for place, beta in enumerate(betas):
        number(f"optimizer.betas[{place}]", beta, minimum=0, below=1)


def check_overrides(config: DictConfig, overrides: Iterable[str], groups: Collection[str] = ()) -> None:
    """Refuse a key of the command line whose value another setting decides, or that nothing would look at.

    Args:
        groups: as in `check_added`.

    Raises:
        InvalidValue: naming the key and what decides it.
    """
    overrides = list(overrides)
    given = dict(override.lstrip("+~").partition("=")[::2] for override in overrides)
    for name, value in given.items():
        accepted = ENSEMBLE.get(name.removeprefix("ensemble."), "null")
        if name.startswith("ensemble.") and value.lower() != accepted and not is_ensemble(config):
            axes = " or ".join(f"ensemble.{axis}" for axis in ENSEMBLE_AXES)
            raise InvalidValue(name, value, f"{accepted} in a single run, or {axes} beside it, for replicas to have it")
    if is_ensemble(config):
        check_replaced(config, given)
    check_added(config, overrides, groups)
    for key, decided in DECIDES.items():
        value = OmegaConf.select(config, key)
        for name in decided:
            if value is not None and name in given:
                raise InvalidValue(name, given[name], f"{key}=null, as {key}={value} decides it")


@contextmanager
def naming(key: str, given: Collection[str] | None = None, target: str | None = None) -> Iterator[None]:
    """Let a refusal inside say which part of the configuration it comes from.

    Args:
        given: the keys of that part; an argument that nothing takes is only called a key if it is one of them. None
            leaves that open, and calls it one.
        target: the dotted name of what is called, where Hydra does not call it.

    Raises:
        InvalidValue: what was refused so, its name under `key`.
        InvalidSetting: any other refusal.
    """
    try:
        yield
    except InstantiationException as error:
        if refusal := _not_importable(key, error):
            raise refusal from error
        called = re.match(r"Error in call to target '(.*)':", str(error))
        _raise_named(key, error.__cause__ or error, given, called and called[1])
    except (ValueError, TypeError, IndexError, ArithmeticError, ImportError, RuntimeError, MemoryError) as error:
        _raise_named(key, error, given, target)


def _not_importable(key: str, error: InstantiationException) -> InvalidValue | None:
    """The refusal of a `_target_` that Hydra does not find, by the key that holds it; None for another error."""
    match = re.match(r"Error locating target '(.*)', set env.*(?:\nfull_key: (.*))?", str(error))
    if match is None:
        return None
    target, inner = match.groups()
    path = [key, *filter(None, [(inner or "").removeprefix(key).strip(".")]), "_target_"]
    reason: BaseException = error
    while reason.__cause__ is not None:
        reason = reason.__cause__
    why = f"{type(reason).__name__}: {reason}".splitlines()[0] + how_found(target, reason)
    if isinstance(reason, SyntaxError):
        why = f"{reason.filename}, line {reason.lineno}: {reason.msg}"
    return InvalidValue(".".join(path), target, f"the dotted name of something that can be imported; {why}")


def _raise_named(key: str, error: BaseException, given: Collection[str] | None, target: str | None = None) -> None:
    if isinstance(error, InvalidValue):
        raise error.within(key) from error
    match = re.match(r"([\w.]+?)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if match and (given is None or match[2] in given):
        taker, name = match.groups()
        taken = _arguments(taker, target)
        others = (f"; it takes {', '.join(taken)}" if taken else "") + _source(key, name, given or ())
        raise InvalidSetting(f"{key}.{name}: no such key, as {taker} does not take it{others}") from error
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    raise InvalidSetting(f"{key}: {' '.join(lines[:2])}{in_own_code(error)}") from error


def _source(key: str, name: str, given: Collection[str]) -> str:
    """The choice that a key comes from which was not typed, where another `_target_` was, and how to do without it.

    Of a choice that is left out as a whole nothing can be replaced: what else was typed has to be added, and that its
    object is made later, as an optimizer is when there are parameters.
    """
    if not HydraConfig.initialized():
        return ""
    typed = dict(override.lstrip("+").partition("=")[::2] for override in HydraConfig.get().overrides.task)
    choice, target = HydraConfig.get().runtime.choices.get(key), typed.get(f"{key}._target_")
    if None in (choice, target) or f"{key}.{name}" in typed:
        return ""
    needed = ({f"{key}._partial_": "true"} if "_partial_" in given else {}) | typed
    added = " ".join(f"+{each}={value}" for each, value in needed.items() if each.startswith(f"{key}."))
    return f"; {key}={choice} has it: ~{key}.{name} leaves it out, ~{key} {added} all that it has"


def _arguments(taker: str, target: str | None) -> list[str]:
    """The names that `target` takes; none if that is not known, or what refused a name is something inside it."""
    if target is None or target.rpartition(".")[2] != taker:
        return []
    try:
        parameters = inspect.signature(get_object(target)).parameters
    except (ValueError, TypeError):  # of some of C there is no signature
        return []
    return [name for name, parameter in parameters.items() if parameter.kind not in UNNAMED]
