"""How the studies draw: one colour for each initialization, means with intervals."""

import numpy as np
import pandas as pd

from orthontk.figures.panels import Line, Series
from orthontk.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE
from orthontk.report.statistics import bootstrap

INTERVALS = "95 % intervals of the mean over seeds"


class _Colours(dict):
    """Black for an initialization from outside the package."""

    def __missing__(self, init: str) -> str:
        return BLACK


COLOURS = _Colours(gaussian=BLUE, orthogonal=ORANGE, delta_orthogonal=GREEN, flat_orthogonal=PURPLE)


def mean_curve(table: pd.DataFrame, x: str, y: str, colour: str, name: str, line: Line = "-") -> Series:
    """The mean of `y` at each `x`, with its 95 % interval over seeds."""
    at, intervals = [], []
    for value, part in table.dropna(subset=[y]).groupby(x, sort=True):
        at.append(value)
        intervals.append(bootstrap(np.mean, part[y].to_numpy()))
    means, low, high = ([getattr(i, end) for i in intervals] for end in ("estimate", "low", "high"))
    return Series(name, at, means, colour, line, marker="o", low=low, high=high)
