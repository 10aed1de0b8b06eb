"""How the studies draw: one colour for each initialization, means with intervals."""

from itertools import cycle

import numpy as np
import pandas as pd

from orthontk.figures.panels import Line, Series
from orthontk.figures.style import AMBER, BLACK, BLUE, GREEN, OLIVE, ORANGE, PURPLE, TEAL, WINE
from orthontk.report.statistics import bootstrap

INTERVALS = "95 % intervals of the mean over seeds"


COLOURS = {"gaussian": BLUE, "orthogonal": ORANGE, "delta_orthogonal": GREEN, "flat_orthogonal": PURPLE}
OTHERS = (BLACK, AMBER, WINE, OLIVE, TEAL)  # of initializations from outside the package


def colours_of(table: pd.DataFrame) -> dict[str, str]:
    """A colour for each initialization in the table, the same in every figure for those of the package."""
    own = sorted(set(table.init) - COLOURS.keys())
    return COLOURS | dict(zip(own, cycle(OTHERS), strict=False))


def mean_curve(table: pd.DataFrame, x: str, y: str, colour: str, name: str, line: Line = "-") -> Series:
    """The mean of `y` at each `x`, with its 95 % interval over seeds."""
    at, intervals = [], []
    for value, part in table.dropna(subset=[y]).groupby(x, sort=True):
        at.append(value)
        intervals.append(bootstrap(np.mean, part[y].to_numpy()))
    means, low, high = ([getattr(i, end) for i in intervals] for end in ("estimate", "low", "high"))
    return Series(name, at, means, colour, line, marker="o", low=low, high=high)
