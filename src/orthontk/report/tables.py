"""The report's tidy tables: `runs.csv`, a row a run or kind of replica, and `curves.csv`, a row a measurement."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orthontk.csv_rows import write_rows
from orthontk.report.gather import Run
from orthontk.report.runs_table import CENSORED, Row, columns_of, runs_table
from orthontk.runs.texts import RESULTS, named

OF_A_CURVE = ("run", "seed", "init", "learning_rate", "step", "metric", "value")


def write_tables(runs: Sequence[Run], labels: Sequence[str], out: Path) -> list[Path]:
    """Write both tables, every run's settings that differ as columns of the first."""
    rows = runs_table(runs, labels).rows
    settings = columns_of(rows)
    columns = ["run", "status", *settings, "replicas", *RESULTS, *CENSORED]
    paths = [out / "runs.csv", out / "curves.csv"]
    write_rows(paths[0], ({name: row.get(name) for name in columns} for row in map(_plain, rows)), columns)
    write_rows(paths[1], _measurements(runs, labels), OF_A_CURVE)
    return paths


def _plain(row: Row) -> dict[str, Any]:
    censored = {name: None if (count := row.results.get(name)) is None else int(count) for name in CENSORED}
    own = {"run": row.label, "status": row.status, "replicas": row.replicas}
    return own | row.settings | row.results | censored


def _measurements(runs: Sequence[Run], labels: Sequence[str]) -> Iterator[dict[str, Any]]:
    """An ensemble's rows say which replica they are of; a single run's settings do."""
    for run, label in zip(runs, labels, strict=True):
        own = {"run": label, "seed": run.get("seed"), "init": named(run.get("init.scheme", ""))}
        own["learning_rate"] = run.get("optimizer.lr")
        for row in run.rows:
            identity = own | {name: row[name] for name in ("seed", "init", "learning_rate", "step") if name in row}
            yield from (identity | {"metric": name, "value": row[name]} for name in row if "/" in name)
