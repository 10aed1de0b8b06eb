"""Whether a directory that was given by hand is that of a run with these settings; known without importing torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from orthontk.checks import InvalidValue
from orthontk.identity import first_difference, run_identity
from orthontk.run.directory import CONFIG

# A setting that is not null decides others, which then cannot be given as well.
DECIDES = {"model.critical": ("model.weight_var", "model.bias_var"), "optimizer.lr_fraction": ("optimizer.lr",)}


def require_no_others_settings(path: Path) -> None:
    """Refuse a folder whose `config.yaml` is not that of a run, which would be overwritten.

    Raises:
        InvalidValue: naming `hydra.run.dir`.
    """
    if not (path / CONFIG).is_file():
        return
    try:
        before = OmegaConf.load(path / CONFIG)
    except (YAMLError, UnicodeDecodeError, OSError):
        before = None
    if not isinstance(before, DictConfig) or not {"mode", "model", "optimizer"} <= set(before):
        raise InvalidValue("hydra.run.dir", path, f"a folder without a {CONFIG} that is no run's")


def require_same_settings(config: DictConfig, path: Path) -> None:
    """Refuse to report a finished run for settings that it did not have: a directory that is given by hand may.

    Raises:
        InvalidValue: naming the first key that differs.
    """
    if (path / CONFIG).exists():
        where = f"as in the finished run {path} (resume=never starts anew beside it)"
        _refuse_difference(OmegaConf.load(path / CONFIG), config, where)


def require_same_job(config: DictConfig, other: DictConfig, path: Path) -> None:
    """Refuse two jobs of a multirun in one directory `path`, unless their settings are the same."""
    where = f"as in another job in the directory {path} (hydra.sweep.subdir names one for each)"
    _refuse_difference(other, config, where)


def is_of_other_settings(path: Path, config: DictConfig) -> bool:
    """Whether a run was begun in the directory whose settings are not those of `config`."""
    return (path / CONFIG).exists() and _difference(OmegaConf.load(path / CONFIG), config) is not None


def _refuse_difference(before: DictConfig, now: DictConfig, where: str) -> None:
    if found := _difference(before, now):
        key, was, given = found
        raise InvalidValue(key, given, f"{_as_typed(key, was)}, {where}")


def _as_typed(key: str, value: Any) -> str:
    """What to type for a setting that a run has; of a whole group or callback, that it has one."""
    if isinstance(value, Mapping):
        return "its settings"
    if value is None:
        return "auto" if key == "resume" else "null"
    return str(value)


def _difference(before: DictConfig, now: DictConfig) -> tuple[str, Any, Any] | None:
    identities: list[dict[str, Any]] = [run_identity(before), run_identity(now)]
    if str(now.resume) == "auto":  # whatever it was begun from
        identities[0].pop("resume", None)
    for key, decided in DECIDES.items():
        if any(OmegaConf.select(of, key) is not None for of in (before, now)):
            for group, _, name in (setting.partition(".") for setting in decided):
                for identity in identities:
                    identity[group].pop(name, None)
    return first_difference(*identities)
