"""How the studies draw: one colour for each initialization, means with bands."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from orthontk.figures.style import BLACK, BLUE, GREEN, ORANGE, PURPLE
from orthontk.report.statistics import bootstrap


class _Colours(dict):
    """Black for an initialization from outside the package."""

    def __missing__(self, init: str) -> str:
        return BLACK


COLOURS = _Colours(gaussian=BLUE, orthogonal=ORANGE, delta_orthogonal=GREEN, flat_orthogonal=PURPLE)


def band(axes: Axes, table: pd.DataFrame, x: str, y: str, colour: str, label: str, line: str = "-") -> None:
    """The mean of `y` at each `x`, with its 95 % interval over seeds."""
    at, intervals = [], []
    for value, part in table.dropna(subset=[y]).groupby(x, sort=True):
        at.append(value)
        intervals.append(bootstrap(np.mean, part[y].to_numpy()))
    axes.plot(at, [i.estimate for i in intervals], line, color=colour, marker="o", markersize=3, label=label)
    finite = [np.isfinite(i.low) and np.isfinite(i.high) for i in intervals]
    ends = ([i.low for i in intervals], [i.high for i in intervals])
    axes.fill_between(at, *ends, where=finite, color=colour, alpha=0.2, linewidth=0)


def log_axes(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_title(title, fontsize=9)
    axes.grid(alpha=0.25, which="both")
