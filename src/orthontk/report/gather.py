"""Read a folder of runs: finished ones are kept, everything else is named with what is wrong with it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from orthontk.csv_rows import DamagedTable, read_rows
from orthontk.files import modified, read_json
from orthontk.identity import run_identity
from orthontk.run.directory import CONFIG, FAILURES, METRICS, SUMMARY
from orthontk.run.failure import read_failure
from orthontk.runs.texts import named

NOT_FINISHED = "not finished"
Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass
class Run:
    """A run's directory, its composed configuration and, if it is finished, its summary; if it failed, the reason.

    A study is given each replica of an ensemble as the run that it would be alone.

    Args:
        differing: settings, by dotted key, that are not the same in all runs of its study.
        lacking: metrics that were asked for and never measured.
    """

    directory: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    finished: bool = True
    failure: str | None = None
    differing: dict[str, str] = field(default_factory=dict)
    lacking: set[str] = field(default_factory=set)

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
        """Of `metrics.csv`, in order, each with what it holds only; an ensemble's name the replica."""
        return list(read_rows(self.directory / METRICS))

    def at_end(self, metric: str) -> float | None:
        """The last value of a metric, None if it was never measured."""
        for row in reversed(self.rows):
            if metric in row:
                return row[metric]
        self.lacking.add(metric)
        return None

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Its settings less what cannot change the result."""
        return run_identity(self.config)

    @cached_property
    def finished_at(self) -> float:
        """In seconds since the epoch."""
        return modified(self.directory / SUMMARY)

    @property
    def diverged(self) -> bool:
        """Whether its network did; of an ensemble each replica may have."""
        return self.summary.get("diverged") is True

    @property
    def family(self) -> str:
        return str(self.get("model._target_", "")).rsplit(".", 1)[-1]

    def settings(self) -> dict[str, Any]:
        """The columns that every study's table begins with; a dot is in the names of those in `differing`."""
        activation = self.get("model.activation")
        return {
            "family": self.family,
            "init": named(self.get("init.scheme", self.get("init"))),  # of a function of one's own there is no scheme
            "activation": None if activation is None else named(activation),
            "depth": self.get("model.depth"),
            "width": self.get("model.width"),
            "seed": self.get("seed"),
            "data": self.get("data.source"),
            **self.differing,
        }


@dataclass
class Gathered:
    """What a folder holds: finished runs, those that have begun, and why each other one is left out of the studies."""

    runs: list[Run] = field(default_factory=list)
    unfinished: list[Run] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)


Known = dict[Path, tuple[Fingerprint, "Run | str"]]


def gather(root: Path, known: Known | None = None) -> Gathered:
    """All runs under `root`, at any depth.

    Args:
        known: what an earlier call has read; only what has changed since is read again.
    """
    found, known = Gathered(), {} if known is None else known
    for directory in run_directories(root):
        now = fingerprint(directory)
        if known.get(directory, (None,))[0] != now:
            known[directory] = now, _read(directory)
        run = known[directory][1]
        if isinstance(run, str):
            found.skipped[directory] = run
        elif run.finished:
            found.runs.append(run)
        else:
            found.unfinished.append(run)
            found.skipped[directory] = f"failed: {run.failure}" if run.failure else NOT_FINISHED
    return found


def fingerprint(directory: Path) -> Fingerprint:
    """Changes whenever a run's settings or results do."""
    files = sorted(
        path for names in (CONFIG, SUMMARY, FAILURES, "*.csv", "*.safetensors") for path in directory.glob(names)
    )
    return tuple((file.name, stat.st_mtime_ns, stat.st_size) for file in files if (stat := _stat(file)))


def _stat(file: Path) -> os.stat_result | None:
    try:
        return file.stat()
    except OSError:  # not there, or replaced just now
        return None


def run_directories(root: Path) -> Iterator[Path]:
    """Folders with a run's composed configuration; W&B and Hydra keep files of that name, too."""
    for path in sorted(root.rglob(CONFIG)):
        parts = path.relative_to(root).parts
        is_of_wandb = ("wandb", "files") in zip(parts, parts[2:], strict=False)  # wandb/offline-run-…/files/config.yaml
        if not is_of_wandb and path.parent.name != ".hydra":
            yield path.parent


def _read(directory: Path) -> Run | str:
    """The run, or why it cannot be used, in a few words."""
    try:
        config = yaml.safe_load((directory / CONFIG).read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return f"{CONFIG} cannot be read"
    if not isinstance(config, dict):
        return f"{CONFIG} holds no settings"
    try:
        summary = read_json(directory / SUMMARY) if (directory / SUMMARY).exists() else {"status": NOT_FINISHED}
        _require_parts(summary.get("groups", []))
        finished = summary["status"] == "finished"
        failure = None if finished else read_failure(directory)
        run = Run(directory, config, summary, finished, failure[0] if failure else None)
        if run.finished or (directory / METRICS).exists():
            run.rows  # noqa: B018, read now so that a damaged file is found out here
        else:
            run.rows = []
    except (json.JSONDecodeError, OSError, UnicodeDecodeError, AttributeError, TypeError, KeyError):
        return f"{SUMMARY} or {METRICS} cannot be read"
    except DamagedTable:
        return f"{METRICS} cannot be read"
    return run


def _require_parts(groups: list[dict[str, Any]]) -> None:
    """TypeError or KeyError if an ensemble's kinds of replicas are not what they should be."""
    for group in groups:
        for name in ("init", "learning_rate", "replicas", "diverged"):
            group[name]
