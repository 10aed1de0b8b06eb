"""The table of runs: what they differ in, and what came out; of an ensemble a row for each kind of replica."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orthontk.csv_rows import last_values
from orthontk.report.gather import Run
from orthontk.runs.collect import flatten
from orthontk.runs.select import differing, headings
from orthontk.runs.texts import RESULTS, named, number, plain, tau
from orthontk.splits import TAU_SPLITS

# Of the configuration, first what a reader looks for first.
FIRST = (
    "init.scheme",
    "model",
    "model.activation",
    "model.depth",
    "model.width",
    "optimizer.lr",
    "seed",
    "ensemble.seeds",
    "optimizer",
    "data.source",
    "data.normalize",
    "data.train_size",
    "data.batch_size",
    "trainer.max_steps",
    "loss",
)
LEFT_OUT = ("name", "checkpoint", "scale")  # beside what `flatten` leaves out
CENSORED = tuple(f"{split}/censored" for split in TAU_SPLITS)  # how many have no τ, beside `RESULTS`
SHOWN_AT_FIRST = 6  # differing settings; the others are a button away

Value = str | int | float | bool | None


@dataclass
class Row:
    """One line of the table.

    Args:
        run: the place of its run in the list of runs.
        label: the run's folder, under the folder reported on.
    """

    run: int
    label: str
    status: str
    replicas: int | None
    settings: dict[str, Value]
    results: dict[str, float | None] = field(default_factory=dict)

    def shown(self, name: str) -> str:
        """A result as a text."""
        value = self.results.get(name)
        if not name.endswith("/tau"):
            return number(value)
        return tau(value, self.results.get(name.replace("tau", "censored")), several=self.replicas is not None)


@dataclass(frozen=True)
class Table:
    """Rows, the settings and results that they have columns for, and what the settings are called at the top."""

    rows: list[Row]
    settings: list[str]
    results: list[str]
    short: dict[str, str]

    @property
    def has_replicas(self) -> bool:
        return any(row.replicas is not None for row in self.rows)


def runs_table(runs: Sequence[Run], labels: Sequence[str]) -> Table:
    """All runs, with the settings whose values are not the same in all of them."""
    rows = [
        row for number, (run, label) in enumerate(zip(runs, labels, strict=True)) for row in _rows(number, run, label)
    ]
    columns = columns_of(rows)
    measured = [name for name in RESULTS if any(row.shown(name) for row in rows)]
    return Table(rows, columns, measured, headings(columns))


def columns_of(rows: Sequence[Row]) -> list[str]:
    """The settings that differ between rows, the well-known ones first."""
    found = differing([row.settings for row in rows])
    return sorted(found, key=lambda key: FIRST.index(key) if key in FIRST else len(FIRST))


def flat_settings(config: Mapping[str, Any]) -> dict[str, Value]:
    """What there is to show of a run's settings: plain values by dotted key.

    >>> flat_settings({"model": {"_target_": "orthontk.networks.FCN", "width": 8}, "paths": {"output_dir": "x"}})
    {'model': 'fcn', 'model.width': 8, 'callbacks': ''}
    """
    kept = {key: value for key, value in flatten(config).items() if key != "init"}  # the function that draws
    return {key: _scalar(value) for key, value in kept.items() if key.partition(".")[0] not in LEFT_OUT}


def _scalar(value: Any) -> Value:
    return value if isinstance(value, str | int | float | bool) or value is None else plain(value)


def _rows(number: int, run: Run, label: str) -> Iterator[Row]:
    settings = flat_settings(run.config)
    settings["init.scheme"] = named(run.get("init.scheme", ""))
    groups = run.summary.get("groups")
    if not isinstance(groups, list):
        yield Row(number, label, status_of(run), None, settings, _results(run))
        return
    for group in groups:
        own = settings | {"init.scheme": group["init"], "optimizer.lr": group["learning_rate"]}
        status = f"{group['diverged']} diverged" if group["diverged"] else "finished"
        results = {name: _part(group, name, "mean") for name in RESULTS}
        results |= {name: _part(group, name.replace("censored", "tau"), "censored") for name in CENSORED}
        results["time/total"] = _number(_metrics(run), "time/total")
        yield Row(number, label, status, group["replicas"], own, results)


def status_of(run: Run) -> str:
    if not run.finished:
        return "failed" if run.failure else "unfinished"
    return "diverged" if run.summary.get("diverged") else "finished"


def _results(run: Run) -> dict[str, float | None]:
    """Of a run that is not finished, the last values so far."""
    last: Mapping[str, Any] = _metrics(run)
    if not run.finished:
        last = last_values(run.rows)
    return {name: _number(last, name) for name in (*RESULTS, *CENSORED)}


def _metrics(run: Run) -> Mapping[str, Any]:
    metrics = run.summary.get("metrics")
    return metrics if isinstance(metrics, dict) else {}


def _part(group: Mapping[str, Any], name: str, part: str) -> float | None:
    """The mean of a kind of replica, or how many of them are censored."""
    value = group.get(name)
    return _number(value, part) if isinstance(value, dict) else None


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
