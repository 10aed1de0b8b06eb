"""What the tests of ensembles share: their runs, and the single runs that their replicas equal."""

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from orthontk.csv_rows import read_rows
from orthontk.ensemble.replicas import COLUMNS, IDENTITY
from orthontk.loggers import read_metrics

EXACT = ("trainer.precision=64-true", "callbacks.ntk.steps=[]")

Curve = dict[int, dict[str, float]]  # by step


def curves(directory: Path) -> dict[tuple, Curve]:
    """What was measured of each replica (seed, init, learning rate) at each step."""
    found: dict[tuple, Curve] = defaultdict(dict)
    for row in read_rows(directory / "metrics.csv"):
        found[tuple(row[name] for name in IDENTITY)][row["step"]] = without_times(row)
    return dict(found)


def single_curve(directory: Path) -> Curve:
    return {int(row["step"]): without_times(row) for row in read_metrics(directory / "metrics.csv")}


def without_times(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in COLUMNS and not name.startswith("time/")}


def assert_curves_agree(one: Curve, other: Curve, tolerance: float) -> float:
    """The same steps and metrics, whose values agree; returns the largest relative deviation.

    The condition number of a kernel amplifies the rounding of its least eigenvalue.
    """
    assert one.keys() == other.keys()
    worst = 0.0
    for step, row in one.items():
        assert row.keys() == other[step].keys(), step
        for name, value in row.items():
            if name != "ntk/condition_number":
                assert other[step][name] == pytest.approx(value, rel=tolerance, abs=tolerance, nan_ok=True), (
                    step,
                    name,
                )
            if name.startswith(("train/", "weights/")) and math.isfinite(value):
                worst = max(worst, abs(other[step][name] - value) / max(abs(value), 1e-3))
    return worst


def results(directory):
    return {(r["seed"], r["init"], r["learning_rate"]): r for r in read_rows(directory / "replicas.csv")}
