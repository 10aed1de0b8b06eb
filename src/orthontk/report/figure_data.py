"""A figure as plain data for the page's script, which draws it with Plotly."""

from functools import cache
from typing import Any

from matplotlib import colormaps
from matplotlib.colors import to_hex

from orthontk.figures.panels import Axis, Panel, PanelFigure, Series
from orthontk.figures.style import BLACK, BLUE
from orthontk.report.thin import places, rounded
from orthontk.report.words import figure_in_words

DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot", "": "none"}
MARKERS = {"": "", "o": "circle", ".": "circle", "^": "triangle-up-open", "x": "x"}
ON_DARK = {BLUE: "#56B4E9", BLACK: "#F0F0F0"}  # Okabe and Ito's sky blue, and white for black


def figure_data(content: PanelFigure, points: int) -> dict[str, Any]:
    """With at most `points` of each curve, and what the figure shows in words."""
    return {
        "title": content.title,
        "columns": content.columns,
        "intervals": content.intervals,
        "panels": [_panel(panel, points) for panel in content.panels],
        "words": figure_in_words(content),
    }


def _panel(panel: Panel, points: int) -> dict[str, Any]:
    series = [_series(one, points) for one in panel.series]
    return {"title": panel.title, "x": _axis(panel.x), "y": _axis(panel.y), "series": series}


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "scale": axis.scale, "ends": list(axis.ends), "ticks": rounded(axis.ticks)}


def _series(series: Series, points: int) -> dict[str, Any]:
    kept = places(series.y, points)
    data: dict[str, Any] = {
        "name": series.name,
        "x": rounded(series.x[place] for place in kept),
        "y": rounded(series.y[place] for place in kept),
        "colour": [series.colour, on_dark(series.colour)],
        "dash": DASHES[series.line],
        "marker": MARKERS[series.marker],
        "width": series.width,
        "opacity": series.opacity,
        "legend": series.in_legend,
    }
    if series.low is not None and series.high is not None:
        data["low"] = rounded(series.low[place] for place in kept)
        data["high"] = rounded(series.high[place] for place in kept)
        data["bars"] = series.has_bars
    return data


def on_dark(colour: str) -> str:
    """The colour that stands for this one on a dark page; an ordered scale then goes from light to less light.

    >>> on_dark("#0072B2"), on_dark("#D55E00")
    ('#56B4E9', '#D55E00')
    """
    place = _ordered().get(colour)
    if place is not None:
        return to_hex(colormaps["viridis"](1 - 0.8 * place))
    return ON_DARK.get(colour, colour)


@cache
def _ordered() -> dict[str, float]:
    return {to_hex(colormaps["viridis"](i)): i / 255 for i in range(256)}
