"""A figure as data, declared once and drawn by Matplotlib (`draw_panels`) and in the report's page by Plotly."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from orthontk.figures.style import BLUE

Numbers = Sequence[float]
Scale = Literal["linear", "log", "symlog"]  # symlog: linear up to 1, logarithmic from there, for steps that begin at 0
Line = Literal["-", "--", ":", "-.", ""]
Marker = Literal["", "o", ".", "^", "x"]
MOST_TICKS = 8  # at the values run


class Axis(NamedTuple):
    """What an axis says, its scale, and its ends and the places of its numbers where they are fixed."""

    label: str
    scale: Scale = "linear"
    ends: tuple[float | None, float | None] = (None, None)
    ticks: Numbers = ()


def axis_of_settings(label: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis of learning rates, widths or the like, with its numbers at the values run if these are few.

    >>> axis_of_settings("width n", [64, 16, 16]).ticks, axis_of_settings("width n", range(1, 20)).ticks
    ([16.0, 64.0], [])
    """
    ticks = sorted({float(value) for value in values})
    return Axis(label, "log", ticks=ticks if len(ticks) <= MOST_TICKS else [])


@dataclass(frozen=True)
class Series:
    """One curve or cloud of points.

    Args:
        name: in the legend; series of one name in several panels are switched on and off together.
        x, y: as many each.
        low, high: the ends of intervals around y, or nothing. Ends that are not finite are left out.
        bars: draw the intervals as bars instead of a band.
        in_legend: false for what needs no entry of its own.
    """

    name: str
    x: Numbers
    y: Numbers
    colour: str = BLUE
    line: Line = "-"
    marker: Marker = ""
    low: Numbers | None = None
    high: Numbers | None = None
    bars: bool = False
    width: float = 1.5
    opacity: float = 1.0
    in_legend: bool = True

    @property
    def has_intervals(self) -> bool:
        return self.low is not None and self.high is not None and len(self.x) > 0

    @property
    def has_bars(self) -> bool:
        """Whether its intervals are bars; a band of a single point would not be seen."""
        return self.bars or len(self.x) == 1


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]


@dataclass(frozen=True)
class PanelFigure:
    """Panels side by side, `columns` in a row.

    Args:
        intervals: what bands and bars are, in words.
    """

    panels: Sequence[Panel]
    columns: int = 1
    intervals: str = ""
    title: str = ""


def curve(rows: Iterable[dict[str, float]], metric: str, *, positive: bool = False) -> tuple[list[float], list[float]]:
    """The steps that a metric was measured at, and its values; `positive` leaves out what a log axis cannot show.

    >>> curve([{"step": 0, "a": 0.0}, {"step": 1}, {"step": 2, "a": 3.0}], "a", positive=True)
    ([2], [3.0])
    """
    points = [(row["step"], row[metric]) for row in rows if metric in row]
    points = [(step, value) for step, value in points if value > 0 or not positive]
    return [step for step, _ in points], [value for _, value in points]
