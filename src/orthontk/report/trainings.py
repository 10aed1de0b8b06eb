"""The trainings that runs are made of: a run alone is one, and so is each replica of an ensemble."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orthontk.ensemble.replicas import IDENTITY, Replica
from orthontk.identity import ENSEMBLE_AXES
from orthontk.report.gather import Run
from orthontk.run.initializations import written_settings


def trainings_of(runs: Iterable[Run]) -> list[Run]:
    """Each as the run that it would be alone: with its own settings, rows and directory of kernels."""
    return [training for run in runs for training in _trainings(run)]


def _trainings(run: Run) -> Iterator[Run]:
    if not (run.rows and set(IDENTITY) <= run.rows[0].keys()):
        yield run
        return
    rows: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
    for row in run.rows:
        measured = {name: value for name, value in row.items() if name not in IDENTITY}
        rows[tuple(row[name] for name in IDENTITY)].append(measured)
    results = {tuple(result[name] for name in IDENTITY): result for result in run.summary.get("results", ())}
    for identity, own in rows.items():
        replica = Replica(0, *identity)
        result = results.get(identity, {})
        summary = {"status": "finished", "diverged": result.get("status") == "diverged", "steps": result.get("steps")}
        summary["metrics"] = {name: value for name, value in result.items() if "/" in name}
        directory, config = run.directory / "replicas" / replica.name, _settings_alone(run.config, replica)
        made = Run(directory, config, summary, lacking=run.lacking)
        made.rows, made.finished_at = own, run.finished_at
        yield made


def _settings_alone(config: Mapping[str, Any], replica: Replica) -> dict[str, Any]:
    """The settings of the single run that trains as the replica does; what else `ensemble` says stays."""
    ensemble = {**(config.get("ensemble") or {}), **dict.fromkeys(ENSEMBLE_AXES)}
    own = {"optimizer": {"lr": replica.learning_rate}}
    if ensemble.get("shared_batches") is False:
        own["data"] = {"seed": replica.seed}
    merged = {group: {**(config.get(group) or {}), **settings} for group, settings in own.items()}
    merged["init"] = _init_alone(config, replica.init)
    return {**config, **merged, "seed": replica.seed, "ensemble": ensemble}


def _init_alone(config: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    if (config.get("ensemble") or {}).get("inits") is None:
        return config.get("init")
    return written_settings(config, name)
