"""What an ensemble names in `ensemble.inits`: options of the group `init`, as Hydra composes them."""

import copy
from collections.abc import Mapping, Sequence
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

OWN_INITS = "own_inits"  # in the settings that an ensemble writes: what names in `ensemble.inits` stood for then
# What the options of this package say, beside the name of their scheme and whether it is coupled.
OF_PACKAGE = {"_target_": "orthontk.init.initialize", "_partial_": True}


def init_settings(config: DictConfig, name: str) -> DictConfig:
    """The settings of `init=name`; those that know of `coupled` are coupled where their file or the preset says so.

    `init.coupled` on the command line decides for all.

    Raises:
        InvalidValue: there is no such initialization, or it cannot be composed.
    """
    if config.ensemble.inits is None:
        return config.init
    # A job that has not started has Hydra's settings among its own.
    hydra = config.get("hydra") or (HydraConfig.get() if HydraConfig.initialized() else None)
    if hydra is not None and "init" not in hydra.runtime.choices:  # the primary configuration is a run's `config.yaml`
        return OmegaConf.create(written_settings(config, name))
    folders = tuple(config_folders(hydra))
    settings = copy.deepcopy(_composed(GlobalHydra.instance().config_loader(), name, folders))
    if "coupled" in settings and "coupled" in config.init:
        typed = [] if hydra is None else hydra.overrides.task
        is_typed = any(override.lstrip("+").startswith("init.coupled=") for override in typed)
        settings.coupled = config.init.coupled if is_typed else settings.coupled or config.init.coupled
    return settings


def written_settings(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a name in `ensemble.inits` stands for in the settings that an ensemble has written."""
    if own := (config.get(OWN_INITS) or {}).get(name):
        return own
    init = config.get("init") or {}
    coupled = {"coupled": init["coupled"]} if "coupled" in init else {}
    return OF_PACKAGE | {"scheme": name} | coupled


def own_inits(config: DictConfig) -> dict[str, Any]:
    """By name, what those in `ensemble.inits` are now that say it in a file of the user's own.

    The names of this package's schemes say all, and what cannot be composed is refused elsewhere.
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
        of_package = OF_PACKAGE | {"scheme": name}
        if "coupled" in settings:
            of_package["coupled"] = config.init.get("coupled", settings.coupled)
        if OmegaConf.to_container(settings) != of_package:
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
