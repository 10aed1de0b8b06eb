"""What every figure shares."""

import math
from collections.abc import Callable
from pathlib import Path
from textwrap import fill

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, LogFormatterSciNotation, LogLocator, NullFormatter

from orthontk.files import replacing

# Okabe and Ito's colours, which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
SKY, AMBER = "#56B4E9", "#E69F00"
WINE, OLIVE, TEAL = "#882255", "#999933", "#44AA99"  # Tol's, of which the same is true
GREY = "#7F7F7F"  # of what only guides the eye
STEPS = "step (updates made)"
FEW_DECADES = 2.0  # over which there may be a single power of ten
DECIMALS = (5e-4, 5e4)  # between which they are short
PANEL_WIDTH = 4.6  # inches
LETTER = 0.54  # of its size wide, on average


def new_figure(columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with its axes in a flat list; it belongs to no window, so nothing needs closing."""
    figure = Figure(figsize=(PANEL_WIDTH * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    return figure, axes


def sequence(count: int) -> list[str]:
    """Colours for what has an order, dark to light, on viridis, whose order people with any colour vision see.

    >>> sequence(1)
    ['#440154']
    """
    places = np.linspace(0, 0.75, count)  # its end is too light for a white page
    return [to_hex(colormaps["viridis"](place)) for place in places]


def log_label(low: float, high: float, digits: int = 6) -> Callable[..., str]:
    """What writes every number of a logarithmic axis from `low` to `high` in one way: decimals where all are short.

    Args:
        digits: significant ones of a decimal below 100.

    >>> label = log_label(0.02, 40)
    >>> [label(x) for x in (0.0, 0.05, 0.1, 10)]
    ['0', '0.05', '0.1', '10']
    >>> log_label(0.02, 40, digits=3)(1.7782794)
    '1.78'
    >>> label = log_label(1e-6, 1)
    >>> [label(x) for x in (0.0, 1e-5)]
    ['0', '$10^{-5}$']
    """

    def decimal(value: float, _place: int | None = None) -> str:
        return f"{value:g}" if value >= 100 else f"{value:.{digits}g}"

    def power(value: float, _place: int | None = None) -> str:
        if value <= 0:
            return f"{value:g}"
        digits, exponent = f"{value:.2e}".split("e")
        factor = "" if float(digits) == 1 else f"{float(digits):g}\\times"
        return f"${factor}10^{{{int(exponent)}}}$"

    return decimal if (low <= 0 or low >= DECIMALS[0]) and high <= DECIMALS[1] else power


def number_log_axis(side: Axis, decades: float, locator: Callable[..., Locator]) -> None:
    """Numbers at powers of ten, and between them on a short axis, which has one or none.

    Args:
        locator: of the minor ones, from `subs`.
    """
    label = log_label(*sorted(side.get_view_interval()))
    side.set_major_formatter(label)
    if decades > FEW_DECADES:
        side.set_minor_formatter(NullFormatter())
        return
    side.set_minor_locator(locator(subs=(2, 5) if decades > 0.5 else tuple(range(2, 10))))
    side.set_minor_formatter(label)


def _number_own_log_axes(figure: Figure) -> None:
    """Those that a study draws itself, on which Matplotlib's 3×10² and 4×10² run into each other."""
    for side in (side for axes in figure.axes for side in (axes.xaxis, axes.yaxis)):
        if side.get_scale() == "log" and isinstance(side.get_major_formatter(), LogFormatterSciNotation):
            low, high = sorted(side.get_view_interval())  # of an inverted axis the other way round
            number_log_axis(side, math.log10(high / low), LogLocator)


def wrapped(width: float, size: float, *lines: str) -> str:
    """Those lines that say something, none wider than the axes on so many inches; letters of a size in points."""
    letters = int(0.85 * width * 72 / (LETTER * size))
    return "\n".join(fill(line, letters) for line in lines if line)


def wrap_titles(figure: Figure) -> None:
    """A study's title names its data, and is longer than one panel is wide."""
    for axes in figure.axes:
        place = axes.get_subplotspec()
        width = figure.get_figwidth() / (place.get_gridspec().ncols if place else 1)
        axes.title.set_text(wrapped(width, axes.title.get_fontsize(), *axes.get_title().splitlines()))


def save(figure: Figure, path: Path) -> None:
    wrap_titles(figure)
    _number_own_log_axes(figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=150, format=path.suffix[1:])
