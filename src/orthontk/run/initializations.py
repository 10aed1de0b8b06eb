"""What an ensemble names in `ensemble.inits`: options of the group `init`, as Hydra composes them."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from orthontk.checks import InvalidValue
from orthontk.overrides import quoted
from orthontk.run.provenance import config_folders, searching


def init_settings(config: DictConfig, name: str) -> DictConfig:
    """The settings of `init=name`; those that know of `coupled` are coupled where their file or the preset says so.

    `init.coupled` on the command line decides for all.

    Raises:
        InvalidValue: there is no such initialization, or it cannot be composed.
    """
    if config.ensemble.inits is None:
        return config.init
    settings = copy.deepcopy(_composed(GlobalHydra.instance().config_loader(), name, tuple(config_folders())))
    if "coupled" in settings and "coupled" in config.init:
        is_typed = any(override.startswith("init.coupled=") for override in _overrides(config))
        settings.coupled = config.init.coupled if is_typed else settings.coupled or config.init.coupled
    return settings


def _overrides(config: DictConfig) -> Sequence[str]:
    """The command line of the job that `config` is of; Hydra takes its own settings away before the job starts."""
    hydra = config.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else None)
    return () if hydra is None else hydra.overrides.task


def own_inits(config: DictConfig) -> dict[str, Any]:
    """By name, what those in `ensemble.inits` are now that say it in a file of the user's own.

    A name that is its scheme's says all, and what cannot be composed is refused elsewhere.
    """
    names = (config.get("ensemble") or {}).get("inits")
    is_composed = OmegaConf.is_config(config) and GlobalHydra.instance().is_initialized()
    if not is_composed or not isinstance(names, Sequence) or isinstance(names, str):
        return {}
    found = {}
    for name in names:
        try:
            settings = init_settings(config, name)
        except InvalidValue:
            continue
        if settings.get("scheme") != name:
            of_it = copy.deepcopy(config)
            of_it.init = settings  # where `${seed}` is the run's
            found[str(name)] = OmegaConf.to_container(of_it.init, resolve=True)
    return found


@cache
def _composed(loader: ConfigLoader, name: str, folders: tuple[str, ...]) -> DictConfig:
    """By Hydra itself, which follows its defaults list and all search paths; once a process."""
    main = HydraConfig.get().job.config_name if HydraConfig.initialized() else "config"
    try:
        overrides = [f"init={quoted(name)}", *searching(folders)]
        return loader.load_configuration(main, overrides, RunMode.RUN).init
    except HydraException as error:
        accepted = f"what can be composed; {str(error).splitlines()[0]}"
        if isinstance(error, MissingConfigException) and error.missing_cfg_file == f"init/{name}":
            accepted = "names from " + ", ".join(sorted(error.options or ()))
        raise InvalidValue("ensemble.inits", name, accepted) from error
