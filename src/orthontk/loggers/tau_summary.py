"""τ as one number a run, which W&B's sweeps can minimize and its reports can draw: its summary, with censoring told."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from orthontk.csv_rows import last_values, read_metrics, read_rows
from orthontk.run.directory import CONFIG, METRICS, REPLICAS
from orthontk.splits import TAU_SPLITS


def tau_summary(run_directory: Path) -> dict[str, float]:
    """For a finished run with the callback `tau`, for each split:

    - `<split>/tau_at_least`: τ; of a censored training, which has none, the updates made, which τ is at least, and of
      one that diverged `trainer.max_steps`. So an optimizer of learning rates sees that those without a τ are bad
      ones; it is no τ, and belongs in no mean of them. It is missing where one has diverged without `max_steps`.
    - of an ensemble also `<split>/tau`, the mean over the trainings that have one, and `<split>/censored`, the share of
      those that do not.

    An ensemble of one initialization and learning rate has plain names, as a single run; one of several has
    `<name>/<init>/lr<rate>`. Empty for a run without the callback.
    """
    limit = _step_limit(run_directory / CONFIG)
    if not (run_directory / REPLICAS).exists():
        row = last_values(read_metrics(run_directory / METRICS))
        diverged = not all(math.isfinite(row.get(name, 0.0)) for name in ("train/loss", "test/loss"))
        return _at_least([row | {"status": "diverged" if diverged else "finished", "steps": row.get("step")}], limit)
    kinds = by_kind(run_directory / REPLICAS)
    summary: dict[str, float] = {}
    for kind, rows in kinds.items():
        values = _at_least(rows, limit) | _means(rows)
        summary |= {name + kind_suffix(kind, len(kinds)): value for name, value in values.items()}
    return summary


def _step_limit(config: Path) -> int | None:
    settings = yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else {}
    return settings.get("trainer", {}).get("max_steps")


def by_kind(replicas: Path) -> dict[tuple[str, float], list[dict[str, Any]]]:
    """The rows of a `replicas.csv` by initialization and learning rate."""
    kinds: dict[tuple[str, float], list[dict[str, Any]]] = defaultdict(list)
    for row in read_rows(replicas):
        kinds[row["init"], row["learning_rate"]].append(row)
    return dict(kinds)


def kind_suffix(kind: tuple[str, float], kinds: int) -> str:
    """What tells the metrics of one initialization and learning rate from those of others in the same W&B run.

    >>> kind_suffix(("gaussian", 1.0), 2), kind_suffix(("gaussian", 0.12345678), 2), kind_suffix(("gaussian", 0.1), 1)
    ('/gaussian/lr1', '/gaussian/lr0.12345678', '')
    """
    init, rate = kind
    short = f"{rate:g}"
    return f"/{init}/lr{short if float(short) == rate else repr(rate)}" if kinds > 1 else ""


def _at_least(rows: Iterable[Mapping[str, Any]], limit: int | None) -> dict[str, float]:
    summary = {}
    for split in TAU_SPLITS:
        bounds = [_bound(row, split, limit) for row in rows if f"{split}/censored" in row]
        if bounds and None not in bounds:
            summary[f"{split}/tau_at_least"] = sum(bounds) / len(bounds)
    return summary


def _bound(row: Mapping[str, Any], split: str, limit: int | None) -> float | None:
    if not row[f"{split}/censored"]:
        return row[f"{split}/tau"]
    return limit if row["status"] == "diverged" else row["steps"]


def _means(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    summary = {}
    for split in TAU_SPLITS:
        own = [row for row in rows if f"{split}/censored" in row]
        taus = [row[f"{split}/tau"] for row in own if not row[f"{split}/censored"]]
        if own:
            summary[f"{split}/censored"] = 1 - len(taus) / len(own)
        if taus:
            summary[f"{split}/tau"] = sum(taus) / len(taus)
    return summary
