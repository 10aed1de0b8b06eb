"""What an ensemble accepts, refused by the key a user would change."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from orthontk.checks import InvalidValue, boolean, integer, one_of
from orthontk.ensemble.replicas import Replica, grid
from orthontk.identity import ENSEMBLE_AXES, first_difference, replaced_settings, run_identity
from orthontk.run.initializations import OWN_INITS, init_settings
from orthontk.run.resolved import resolved

STOPS = ("train_tau", "test_tau", "both")


def check_ensemble(config: DictConfig) -> None:
    """Check `ensemble`, and what else cannot be had in one.

    Raises:
        InvalidValue: naming the key and what is accepted.
    """
    ensemble = config.ensemble
    replicas = grid(config)
    if ensemble.inits is not None:
        for name in ensemble.inits:
            init_settings(config, name)
    boolean("ensemble.shared_batches", ensemble.shared_batches)
    if ensemble.kernels not in ("all", "none"):
        seeds, kernels = len({replica.seed for replica in replicas}), ensemble.kernels
        if isinstance(kernels, str) or integer("ensemble.kernels", kernels, minimum=0) > seeds:
            accepted = f"all, none, or a number of seeds, of which there are {seeds}"
            raise InvalidValue("ensemble.kernels", kernels, accepted)
    if ensemble.chunk is not None:
        integer("ensemble.chunk", ensemble.chunk)
    if ensemble.stop is not None:
        _check_stop(config)
    _check_the_rest(config)
    _check_shared(config, replicas)


def check_replaced(config: DictConfig, given: Mapping[str, str]) -> None:
    """Refuse a key that was given for a value which every replica has from `ensemble`.

    Raises:
        InvalidValue: naming the key, and the setting of `ensemble` that decides it.
    """
    replaced = replaced_settings(config.ensemble)
    for name, value in given.items():
        accepted = replaced.get(name) or replaced.get(name.partition(".")[0])
        if accepted and name != "init.coupled":
            raise InvalidValue(name, value, accepted)


def _check_stop(config: DictConfig) -> None:
    stop = one_of("ensemble.stop", config.ensemble.stop, (*STOPS,))
    taus = [node for node in (config.get("callbacks") or {}).values() if str(node.get("_target_")).endswith(".Tau")]
    if not taus:
        raise InvalidValue(
            "ensemble.stop", stop, "callbacks=tau, or several such as callbacks=[ntk,tau], which measures it"
        )
    if stop != "train_tau" and not taus[0].get("test", True):
        raise InvalidValue("ensemble.stop", stop, "callbacks.tau.test=true, which measures it")


def _check_the_rest(config: DictConfig) -> None:
    if "tensorboard" in (config.logger or {}):
        raise InvalidValue("logger", "tensorboard", "csv or wandb for an ensemble, of whose replicas it has no curves")
    refused: dict[str, tuple[Any, str]] = {
        "mode": (config.mode != "fit", "fit: ensembles leave no single network to test"),
        "resume": (config.resume not in ("auto", "never"), "auto or never for an ensemble"),
        "trainer.precision": (
            config.trainer.precision == "16-mixed",
            "another precision in an ensemble, whose replicas would share one loss scale; bf16-mixed has none",
        ),
        "optimizer.lr_fraction": (
            config.optimizer.get("lr_fraction") is not None,
            "null in an ensemble, whose replicas have their largest stable rates each; give ensemble.learning_rates",
        ),
    }
    for key, (is_refused, accepted) in refused.items():
        if is_refused:
            raise InvalidValue(key, OmegaConf.select(config, key), accepted)


def _check_shared(config: DictConfig, replicas: Sequence[Replica]) -> None:
    """Refuse a setting that is interpolated from one which differs between replicas, as they share what it makes."""
    alike = _shared_settings(config)
    for replica in (replicas[0], replicas[-1]):
        for key, value in (("seed", replica.seed), ("optimizer.lr", replica.learning_rate)):
            if value == OmegaConf.select(config, key):
                continue
            own = copy.deepcopy(config)
            OmegaConf.update(own, key, value)
            if found := first_difference(alike, _shared_settings(own)):
                accepted = f"a value that does not follow {key}, of which replicas have their own"
                if found[0] == "data.seed":
                    accepted += "; ensemble.shared_batches=false gives each one batches of its own"
                raise InvalidValue(found[0], found[1], accepted)


def _shared_settings(config: DictConfig) -> dict[str, Any]:
    """What decides the numbers, less what each replica has of its own, as identities are without `optimizer.lr`."""
    return run_identity(config) | {"ensemble": None, "seed": None, "init": None}


def config_of(config: DictConfig, replica: Replica, init: DictConfig) -> DictConfig:
    """The settings of the single run that `replica` equals, whose initialization has the settings `init`."""
    own = resolved(config, OWN_INITS)
    own.init = init
    own.seed, own.optimizer.lr = replica.seed, replica.learning_rate
    if not config.ensemble.shared_batches:
        own.data.seed = replica.seed
    for axis in ENSEMBLE_AXES:
        own.ensemble[axis] = None
    return own
