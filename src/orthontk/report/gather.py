"""Read a folder of runs: finished ones are kept, everything else is named with what is wrong with it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from orthontk.ensemble.rows import read_rows
from orthontk.files import read_json
from orthontk.run.directory import CONFIG, SUMMARY


@dataclass
class Run:
    """A finished run's directory, its composed configuration and its summary."""

    directory: Path
    config: dict[str, Any]
    summary: dict[str, Any]

    def get(self, key: str, default: Any = None) -> Any:
        """A setting by its dotted key.

        >>> Run(Path(), {"model": {"width": 8}}, {}).get("model.width")
        8
        """
        node: Any = self.config
        for part in key.split("."):
            if not isinstance(node, dict) or part not in node:
                return default
            node = node[part]
        return node

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """Of `metrics.csv`, in order, each with what it holds only; an ensemble's name the initialization."""
        return list(read_rows(self.directory / "metrics.csv"))

    def at_end(self, metric: str) -> float | None:
        """The last value of a metric, None if it was never measured."""
        return next((row[metric] for row in reversed(self.rows) if metric in row), None)

    @property
    def family(self) -> str:
        return str(self.get("model._target_", "")).rsplit(".", 1)[-1]

    def settings(self) -> dict[str, Any]:
        """The columns that every study's table begins with."""
        scheme, activation = self.get("init.scheme"), self.get("model.activation")
        return {
            "family": self.family,
            "init": _short(scheme),
            "activation": _short(activation),
            "depth": self.get("model.depth"),
            "width": self.get("model.width"),
            "seed": self.get("seed"),
            "data": self.get("data.source"),
        }


@dataclass
class Gathered:
    """What a folder holds: finished runs, and the reason why each other one is left out."""

    runs: list[Run] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)


def gather(root: Path) -> Gathered:
    """All runs under `root`, at any depth."""
    found = Gathered()
    for directory in run_directories(root):
        try:
            found.runs.append(_read(directory))
        except _Unusable as reason:
            found.skipped[directory] = str(reason)
    return found


def run_directories(root: Path) -> Iterator[Path]:
    """Folders with a run's composed configuration; W&B keeps files of that name, too."""
    for path in sorted(root.rglob(CONFIG)):
        if "wandb" not in path.relative_to(root).parts:
            yield path.parent


class _Unusable(Exception):
    """Why a run is left out, in a few words."""


def _read(directory: Path) -> Run:
    try:
        config = yaml.safe_load((directory / CONFIG).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise _Unusable(f"{CONFIG} cannot be read") from error
    if not isinstance(config, dict):
        raise _Unusable(f"{CONFIG} holds no settings")
    if not (directory / SUMMARY).exists():
        raise _Unusable("not finished")
    try:
        summary = read_json(directory / SUMMARY)
        run = Run(directory, config, summary)
        if summary["status"] != "finished":
            raise _Unusable("not finished")
        run.rows  # noqa: B018, read now so that a damaged file is found out here
    except (json.JSONDecodeError, OSError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise _Unusable(f"{SUMMARY} or metrics.csv cannot be read") from error
    except ValueError as error:
        raise _Unusable("metrics.csv cannot be read") from error
    return run


def _short(value: Any) -> str:
    """A name, or the last word of a `_target_`."""
    if isinstance(value, dict):
        value = value.get("_target_", "")
    return str(value).rsplit(".", 1)[-1]
