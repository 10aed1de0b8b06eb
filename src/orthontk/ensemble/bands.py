"""Curves of an ensemble, and their mean with a band for each initialization and learning rate."""

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from orthontk.csv_rows import read_rows
from orthontk.ensemble.replicas import COLUMNS

Kind = tuple[str, float]  # initialization, learning rate
Curves = dict[int, dict[int, float]]  # by seed and step


class Point(NamedTuple):
    """What the seeds of one kind had at a step: `lower` and `upper` are a standard deviation from the mean."""

    step: int
    mean: float
    lower: float
    upper: float
    replicas: int


def read_curves(path: Path) -> dict[str, dict[Kind, Curves]]:
    """By metric and kind, every replica's curve in a `metrics.csv`; wall-clock times and τ are no curves."""
    curves: dict[str, dict[Kind, Curves]] = defaultdict(lambda: defaultdict(lambda: defaultdict(dict)))
    for row in read_rows(path):
        kind, seed, step = (row["init"], row["learning_rate"]), row["seed"], row["step"]
        for name, value in row.items():
            if name not in COLUMNS and not name.startswith("time/") and not name.endswith(("/tau", "/censored")):
                curves[name][kind][seed][step] = value
    return curves


def band(curves: Curves) -> list[Point]:
    """At each step at which all replicas that are left are measured, over those with a finite value.

    One that ends is measured at its own last step, too, which says nothing of the others.
    """
    ends = {seed: max(curve) for seed, curve in curves.items()}
    points = []
    for step in sorted({step for curve in curves.values() for step in curve}):
        left = [curve for seed, curve in curves.items() if ends[seed] >= step]
        values = [curve[step] for curve in left if step in curve and math.isfinite(curve[step])]
        if values and all(step in curve for curve in left):
            points.append(_point(step, values))
    return points


def _point(step: int, values: Sequence[float]) -> Point:
    with np.errstate(over="ignore", invalid="ignore"):  # a loss on its way to infinity
        mean = float(np.mean(values))
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return Point(step, mean, mean - spread, mean + spread, len(values))
