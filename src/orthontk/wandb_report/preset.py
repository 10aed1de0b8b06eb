"""What a study's preset says: its claim, which initializations it compares, and how it is run."""

import inspect
import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from hydra_plugins.orthontk_sweeper import jobs_of
from orthontk.checks import InvalidValue
from orthontk.grids import Grid, grids_at_scale
from orthontk.report.apart import by_dotted_key
from orthontk.run.provenance import searching
from orthontk.runs.select import differing
from orthontk.studies.from_settings import study_class

CONFIGS = Path(__file__).resolve().parents[3] / "conf"
# What of a preset's settings a reader wants to see; the rest is in each run's configuration.
SHOWN = ("study", "model", "init", "data", "loss", "optimizer", "ensemble", "callbacks", "trainer")

SEVERAL = ("inits", "learning_rates")  # of an ensemble; seeds alone are one kind of training


@dataclass(frozen=True)
class Preset:
    """A study at one scale.

    Attributes:
        experiment: what `train.py` calls it, by its file.
        name: of its runs.
        inits: the initializations that it compares, by the names of their files, and for each the settings under
            `init` that tell its runs from those of the others.
        compared: the runs that go together, by the initialization and by those of the model's `_target_` and
            `activation` in which the grids differ.
        folders: with presets of one's own, where it was looked for.
        is_ensemble: whether its runs train several initializations or learning rates together.
    """

    experiment: str
    name: str
    folders: list[Path]
    scale: str
    kind: type
    inits: dict[str, dict[str, Any]]
    compared: list[tuple[str, dict[str, str]]]
    is_ensemble: bool
    grids: list[Grid]
    settings: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.name}, scale {self.scale}"

    @property
    def claim(self) -> str:
        """The first line of what the study's module says, or its class for a study without."""
        text = inspect.getdoc(sys.modules[self.kind.__module__]) or self.kind.__doc__ or self.name
        return text.strip().splitlines()[0]

    @property
    def method(self) -> str:
        """How the study judges: its class's documentation before the arguments."""
        return inspect.cleandoc(self.kind.__doc__ or "").split("\nArgs:")[0].strip()


def read_preset(name: str | None, scale: str | None, config_dir: str | None = None) -> Preset:
    """Compose the preset `name`, at its own scale unless one is given.

    Raises:
        InvalidValue: there is no such preset, it is no study, or there is no such folder.
    """
    if config_dir and not Path(config_dir).is_dir():
        raise InvalidValue("config_dir", config_dir, "a folder with presets of your own, in experiment/")
    folders = [CONFIGS, *([Path(config_dir).resolve()] if config_dir else [])]
    presets = {path.stem for folder in folders for path in folder.glob("experiment/*.yaml")}
    own = []
    if config_dir:
        sys.path.insert(0, "")  # where a study of one's own is found, as `python train.py` finds it
        own = searching(folders[1:])
    given = [f"experiment={name}", *own] + ([f"scale={scale}"] if scale else [])
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose("config", given, return_hydra_config=True) if name in presets else None
        if config is None or not config.study:
            raise InvalidValue("study", name, "one of " + ", ".join(n for n in sorted(presets) if _is_study(n, own)))
        grids = grids_at_scale(OmegaConf.to_container(config.hydra.sweeper).get("grids"), config.scale)
        names = _inits(grids, config)
        drawn = {init: _flat(compose("config", [*given, f"init={init}"]).init) for init in names}
        drawn = drawn or {_name_of(config.init): _flat(config.init)}
        networks = [list(_networks(grid, given)) for grid in grids]
    axes = [grid.get(f"ensemble.{axis}", config.ensemble[axis]) for grid in grids for axis in SEVERAL]
    settings = {key: OmegaConf.to_container(config[key], resolve=True) for key in SHOWN if config.get(key) is not None}
    kind = study_class(settings["study"]["_target_"])
    is_ensemble = any(axis is not None for axis in axes)
    compared = _compared([_inits([grid], config) or list(drawn) for grid in grids], networks)
    told = {init: _telling(own, drawn.values()) for init, own in drawn.items()}
    named = str(name), str(config.name), folders[1:], str(config.scale)
    return Preset(*named, kind, told, compared, is_ensemble, grids, settings)


def _is_study(name: str, own: list[str]) -> bool:
    """Whether the preset composes to one, by itself or by what it inherits; one that cannot be composed is none."""
    try:
        return bool(compose("config", [f"experiment={name}", *own]).study)
    except (HydraException, OmegaConfBaseException, YAMLError):
        return False


def _inits(grids: list[Grid], config: Any) -> list[str]:
    """Every initialization of the grids, once."""
    names: dict[str, None] = {}
    for grid in grids:
        together = grid.get("ensemble.inits", config.ensemble.inits)
        together = yaml.safe_load(together) if isinstance(together, str) else together
        names |= dict.fromkeys(together or [])
        names |= dict.fromkeys(name.strip() for name in str(grid.get("init", "")).split(",") if name.strip())
    return list(names)


def _networks(grid: Grid, given: list[str]) -> Iterator[dict[str, str]]:
    """The classes and activations of a grid's networks."""
    chosen = {key: grid[key] for key in ("model", "model.activation") if key in grid}
    for overrides in jobs_of([chosen], []):
        model = compose("config", [*given, *overrides]).model
        yield {key: model[key] for key in ("_target_", "activation") if isinstance(model.get(key), str)}


def _compared(inits: list[list[str]], networks: list[list[dict[str, str]]]) -> list[tuple[str, dict[str, str]]]:
    """Each initialization with each network of its grid, of which only the settings that not all have."""
    keys = differing([network for of_grid in networks for network in of_grid])
    found: list[tuple[str, dict[str, str]]] = []
    for of_grid in zip(inits, networks, strict=True):
        for init, network in itertools.product(*of_grid):
            pair = init, {key: network[key] for key in keys if key in network}
            found += [pair] if pair not in found else []
    return found


def _name_of(init: DictConfig) -> str:
    target = init.get("scheme") or init
    return str(target if isinstance(target, str) else target["_target_"]).rpartition(".")[2]


def _flat(init: DictConfig) -> dict[str, Any]:
    """Its settings by dotted key below `init`."""
    nested = by_dotted_key("init", OmegaConf.to_container(init, resolve=True))
    return {key.removeprefix("init."): value for key, value in nested}


def _telling(own: dict[str, Any], drawn: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The scheme or the function, and those of its settings that others by the same have otherwise."""
    key = next(key for key in ("scheme", "scheme._target_", "_target_") if key in own)
    same = [other for other in drawn if other.get(key) == own[key]]
    return {key: own[key]} | {name: own[name] for name in own if any(one.get(name) != own[name] for one in same)}
