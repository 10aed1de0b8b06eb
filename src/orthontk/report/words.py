"""What a figure shows, as sentences: for screen readers, and for whoever wants the numbers."""

import math
from collections.abc import Iterable, Sequence
from operator import itemgetter

from orthontk.figures.panels import Panel, PanelFigure, Series

MOST_SERIES = 24  # that are described one by one


def figure_in_words(content: PanelFigure) -> list[str]:
    """A sentence or two for each panel."""
    return [panel_in_words(panel) for panel in content.panels]


def panel_in_words(panel: Panel) -> str:
    """What the axes are, and where each curve begins, ends and lies."""
    drawn = [series for series in panel.series if _finite(series)]
    axes = f"{panel.y.label} against {panel.x.label}"
    beginning = f"{panel.title}: {axes}" if panel.title else axes
    if not drawn:
        return f"{beginning}. Nothing to show."
    told = [series_in_words(series) for series in drawn[:MOST_SERIES]]
    rest = [f"and {len(drawn) - MOST_SERIES} more curves"] if len(drawn) > MOST_SERIES else []
    return f"{beginning}. " + "; ".join([*told, *rest]) + "."


def series_in_words(series: Series) -> str:
    """
    >>> series_in_words(Series("train", [0, 1, 2], [3.0, 0.5, 1.0]))
    'train: from 3 at 0 to 1 at 2, lowest 0.5 at 1'
    >>> series_in_words(Series("tau", [0.1], [20.0], low=[18.0], high=[22.0]))
    'tau: 20 [18, 22] at 0.1'
    """
    points = _finite(series)
    (x0, first, ends0), (x1, last, ends1) = points[0], points[-1]
    if len(points) == 1:
        return f"{series.name}: {first:.4g}{ends0} at {x0:.4g}"
    if not series.line:
        values = [value for _, value, _ in points]
        return f"{series.name}: {len(points)} points, {min(values):.4g} to {max(values):.4g}"
    text = f"{series.name}: from {first:.4g}{ends0} at {x0:.4g} to {last:.4g}{ends1} at {x1:.4g}"
    lowest, highest = (extreme(points, key=itemgetter(1)) for extreme in (min, max))
    return text + _extreme("lowest", lowest, points) + _extreme("highest", highest, points)


Point = tuple[float, float, str]


def _extreme(name: str, point: Point, points: Sequence[Point]) -> str:
    """Where a curve turns; nothing if it is at one of its ends."""
    if point[1] in (points[0][1], points[-1][1]):
        return ""
    return f", {name} {point[1]:.4g} at {point[0]:.4g}"


def _finite(series: Series) -> list[Point]:
    ends = [""] * len(series.x)
    if series.low is not None and series.high is not None:
        ends = [_interval(low, high) for low, high in zip(series.low, series.high, strict=True)]
    points: Iterable[Point] = zip(series.x, series.y, ends, strict=True)
    return [point for point in points if math.isfinite(point[0]) and math.isfinite(point[1])]


def _interval(low: float, high: float) -> str:
    return f" [{low:.4g}, {high:.4g}]" if math.isfinite(low) and math.isfinite(high) else ""
