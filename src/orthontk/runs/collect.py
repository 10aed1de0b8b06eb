"""What there is to compare: an entry for each run, and for each kind of replica in an ensemble."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from orthontk.csv_rows import DamagedTable, last_values, read_metrics
from orthontk.files import finite_or_none, read_json
from orthontk.identity import ENSEMBLE_AXES, WITHOUT_EFFECT, replaced_settings
from orthontk.report.gather import run_directories
from orthontk.run.directory import CHUNKS, CONFIG, METRICS, SUMMARY
from orthontk.run.initializations import OWN_INITS
from orthontk.splits import TAU_SPLITS
from orthontk.sweep.overview import entries_under, sweeps_under
from orthontk.sweep.state import DONE, FAILED, INTERRUPTED, MISSING, RUNNING, state_of

FINISHED, DIVERGED, UNREADABLE = "finished", "diverged", "unreadable"  # beside the states of `orthontk.sweep`
STATUSES = (FINISHED, RUNNING, DIVERGED, INTERRUPTED, FAILED, MISSING, UNREADABLE)
# What a configuration group calls a class; of `init` and `data` it is a setting, `init.scheme` and `data.source`.
CHOICES = {
    "FCN": "fcn",
    "CNN": "cnn",
    "SGD": "sgd",
    "Adam": "adam",
    "RMSprop": "rmsprop",
    "OneHotMSE": "mse",
    "CrossEntropyLoss": "cross_entropy",
    "StepLR": "step",
    "CosineAnnealingLR": "cosine",
}
OF_REPLICAS = ("seed", "init.scheme", "optimizer.lr")  # settings that the replicas of an ensemble have each


@dataclass(frozen=True)
class Entry:
    """A run, or the replicas of an ensemble that share an initialization and a learning rate.

    Attributes:
        values: its `status`, its settings by dotted key (`model.width`) and its metrics (`test/accuracy`); means over
            the replicas if there are several. A metric that is None was no finite number, a τ that is None never came.
    """

    directory: Path
    values: dict[str, Any]
    note: str = ""

    @property
    def status(self) -> str:
        return self.values["status"]


def collect(root: Path) -> list[Entry]:
    """All runs under `root`, at any depth and in any state."""
    root = Path(os.path.normpath(root))  # as the records' jobs are
    configured = dict.fromkeys(run_directories(root))
    entries = [entry for directory in configured for entry in entries_of(directory)]
    sweeps = sweeps_under(root)
    given = {path: job.overrides for sweep in sweeps for path, job in zip(sweep.jobs, sweep.record.jobs, strict=True)}
    for job in entries_under(root, sweeps):
        if job.directory in configured:
            continue
        if job.state.kind == DONE:
            entries.append(Entry(job.directory, {"status": UNREADABLE}, f"{CONFIG} is gone"))
        else:  # refused before it wrote a configuration, or never begun
            settings = _given(given.get(job.directory, []))
            entries.append(Entry(job.directory, {"status": job.state.kind, **settings}, job.state.reason))
    return entries


def _given(overrides: Iterable[str]) -> dict[str, Any]:
    """The settings that a multirun gave to a job, as far as they stand in its overrides.

    >>> _given(["optimizer.lr=0.1", "init=orthogonal", "seed=3", "model=fcn", "paths.output_dir=x"])
    {'optimizer.lr': 0.1, 'init.scheme': 'orthogonal', 'seed': 3}
    """
    settings = {}
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        is_setting = ("." in key and key.partition(".")[0] not in WITHOUT_EFFECT) or key in ("init", "seed")
        if is_setting and value and not key.startswith("~"):
            settings["init.scheme" if key == "init" else key] = _value(override)
    return settings


@cache  # jobs share most of their settings
def _value(override: str) -> Any:
    try:
        return OverridesParser.create().parse_override(override).value()
    except HydraException:
        return override.partition("=")[2]


def entries_of(directory: Path) -> Iterator[Entry]:
    """Of the run in a directory: one, or of an ensemble one for each kind of replica."""
    try:
        settings = _settings(directory)
    except (yaml.YAMLError, OSError, UnicodeDecodeError, AttributeError):
        yield Entry(directory, {"status": UNREADABLE}, f"{CONFIG} cannot be read")
        return
    try:
        summary = read_json(directory / SUMMARY) if (directory / SUMMARY).exists() else None
        if summary is None:
            yield _unfinished(directory, settings)
        elif "groups" in summary:
            yield from (_group(directory, settings, group, summary["metrics"]) for group in summary["groups"])
        else:
            status = DIVERGED if summary["diverged"] else FINISHED
            yield Entry(directory, {"status": status, **settings, **summary["metrics"]})
    except (json.JSONDecodeError, OSError, UnicodeDecodeError, TypeError, KeyError, DamagedTable):
        yield Entry(directory, {"status": UNREADABLE}, f"{SUMMARY} or metrics.csv cannot be read")


def _settings(directory: Path) -> dict[str, Any]:
    text = (directory / CONFIG).read_text(encoding="utf-8")
    return flatten(yaml.load(text, Loader=yaml.CSafeLoader))  # seconds sooner than the safe_load of a thousand files


def _unfinished(directory: Path, settings: dict[str, Any]) -> Entry:
    """A run that goes on, was interrupted or failed: how far it is, and what it has measured."""
    state = state_of(directory)
    metrics: dict[str, Any] = {}
    if (directory / CHUNKS).exists():  # an ensemble, whose entries for each kind of replica come with its summary
        settings = {key: value for key, value in settings.items() if key not in OF_REPLICAS}
    elif (directory / METRICS).exists():
        metrics = finite_or_none(last_values(read_metrics(directory / METRICS)))
    note = state.reason
    if metrics and state.kind != FAILED:
        note = f"at step {int(metrics.pop('step'))} of {settings.get('trainer.max_steps')}"
    metrics.pop("step", None)
    return Entry(directory, {"status": state.kind, **settings, **metrics}, note)


def _group(directory: Path, settings: dict[str, Any], group: Mapping[str, Any], whole: Mapping[str, Any]) -> Entry:
    values = {"status": FINISHED, **settings, **whole, "replicas": group["replicas"]}
    values |= {"init.scheme": group["init"], "optimizer.lr": group["learning_rate"]}
    values |= {name: value["mean"] for name, value in group.items() if isinstance(value, Mapping)}
    for split in TAU_SPLITS:
        if f"{split}/tau" in group:
            values[f"{split}/censored"] = group[f"{split}/tau"]["censored"]
    diverged = group["diverged"]
    if diverged == group["replicas"]:
        values["status"] = DIVERGED
    return Entry(directory, values, f"{diverged} of {group['replicas']} replicas diverged" if diverged else "")


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that can tell runs apart, by dotted key.

    An object is its group's choice, or else the last word of its `_target_`; callbacks are their names, beside their
    own settings.

    >>> flatten({"model": {"_target_": "orthontk.networks.FCN", "width": 8}, "paths": {"output_dir": "x"}})
    {'model': 'fcn', 'model.width': 8, 'callbacks': ''}
    """
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if key == "name" or key not in (*WITHOUT_EFFECT, OWN_INITS):
            flat.update(_flat(str(key), value))
    if config.get("schedule") == {}:
        flat["schedule"] = "constant"  # which is no object
    if flat.get("optimizer") == "sgd" and flat.get("optimizer.momentum"):
        flat["optimizer"] = "momentum"
    for group, choice in (("init", "init.scheme"), ("data", "data.source")):
        if flat.get(group) in ("initialize", "TensorDataModule"):
            del flat[group]  # which is the same for every choice
        elif group in flat and choice not in flat:
            flat[choice] = flat.pop(group)  # a user's own, in the same column
    ensemble = config.get("ensemble") or {}
    for axis in ENSEMBLE_AXES:  # an entry has its own initialization and learning rate
        if axis != "seeds" or ensemble.get(axis) is None:
            flat.pop(f"ensemble.{axis}", None)
    if "seed" in replaced_settings(ensemble):
        flat.pop("seed", None)
    if isinstance(callbacks := config.get("callbacks") or {}, Mapping):
        flat["callbacks"] = ",".join(map(str, callbacks))
    return flat


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield key, value
        return
    if "_target_" in value:
        name = str(value["_target_"]).rsplit(".", 1)[-1]
        yield key, CHOICES.get(name, name)
    for name, inner in value.items():
        if not str(name).startswith("_"):
            yield from _flat(f"{key}.{name}", inner)
