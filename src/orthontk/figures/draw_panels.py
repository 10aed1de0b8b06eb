"""Panels drawn by Matplotlib, as a PNG to look at or a PDF to print."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import rc_context, rcParams, rcParamsDefault
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis as MatplotlibAxis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, SymmetricalLogLocator

from orthontk.figures.panels import Axis, Numbers, Panel, PanelFigure, Series
from orthontk.figures.style import PANEL_WIDTH, log_label, new_figure, number_log_axis, save, wrapped

MOST_INSIDE = 4  # entries of a legend within a panel
LEGEND_LINE = 0.15  # inches
HANDLE = 3.2  # letters long: enough to tell dashes from a line
LINEAR = 0.3  # decades: as long as these is the linear part of a symlog axis, up to 1
LETTER_ON_AXIS = 0.024  # of an axis, each letter of its numbers
COLUMN_WIDTH = 3.25  # inches, of a paper of two columns
FOR_PRINT = {
    "pdf.fonttype": 42,  # whole outlines, which publishers ask for, instead of Type 3
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "lines.linewidth": 1.0,
    "axes.linewidth": 0.6,
}


def draw_panels(content: PanelFigure, path: Path, title: str = "") -> Path:
    """Write the whole figure to `path`."""
    rows = math.ceil(len(content.panels) / content.columns)
    figure, all_axes = new_figure(columns=content.columns, rows=rows)
    for axes, panel in zip(all_axes, content.panels, strict=False):
        _draw(axes, panel)
        axes.set_title(panel.title, fontsize=9)
    for axes in all_axes[len(content.panels) :]:
        axes.set_axis_off()
    _draw_legends(figure, all_axes, content, 7)
    intervals = content.intervals if any(map(_has_intervals, content.panels)) else ""
    if text := wrapped(content.columns * PANEL_WIDTH, 9, title or content.title, intervals):
        figure.suptitle(text, fontsize=9)
    save(figure, path)
    return path


def print_panels(content: PanelFigure, folder: Path) -> list[Path]:
    """Write each panel by itself, as a vector PDF of a column's width with its fonts in it.

    Panels that an earlier call wrote there are replaced, whatever their titles were.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for before in folder.glob("[0-9][0-9]-*.pdf"):
        before.unlink()
    written = []
    for number, panel in enumerate(content.panels, start=1):
        path = folder / f"{number:02d}-{_file_name(panel.title or panel.y.label)}.pdf"
        with rc_context(FOR_PRINT):
            _print(panel, content.intervals, path)
        written.append(path)
    return written


def _print(panel: Panel, intervals: str, path: Path) -> None:
    figure, (axes,) = new_figure()
    figure.set_size_inches(COLUMN_WIDTH, 0.7 * COLUMN_WIDTH)
    _draw(axes, panel)
    axes.set_title("\n".join(filter(None, [panel.title, intervals if _has_intervals(panel) else ""])))
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        lines = _legend_below(figure, dict(zip(labels, handles, strict=True)), 2, rcParams["legend.fontsize"])
        figure.set_size_inches(COLUMN_WIDTH, 0.7 * COLUMN_WIDTH + LEGEND_LINE * lines)
    save(figure, path)


def _has_intervals(panel: Panel) -> bool:
    return any(series.has_intervals for series in panel.series)


def _draw(axes: Axes, panel: Panel) -> None:
    for series in panel.series:
        _draw_series(axes, series)
    _set_axis(axes, "x", panel.x, [value for series in panel.series for value in series.x])
    _set_axis(axes, "y", panel.y, [value for series in panel.series for value in series.y])
    axes.grid(alpha=0.25, which="both" if panel.y.scale == "log" else "major")


def _draw_series(axes: Axes, series: Series) -> None:
    width = series.width * rcParams["lines.linewidth"] / rcParamsDefault["lines.linewidth"]
    style = {"color": series.colour, "linestyle": series.line or "none", "linewidth": width, "alpha": series.opacity}
    (line,) = axes.plot(series.x, series.y, marker=series.marker or None, markersize=3, **style)
    if series.in_legend and len(series.x):
        line.set_label(series.name)
    if series.marker in ("^", "x"):
        line.set(markerfacecolor="none", clip_on=False, markersize=6)
    if not series.has_intervals:
        return
    low, high, y = (np.asarray(values, dtype=float) for values in (series.low, series.high, series.y))
    whole = np.isfinite(low) & np.isfinite(high)
    if series.has_bars:
        spread = np.where(whole, [y - low, high - y], 0.0).clip(min=0)
        axes.errorbar(series.x, y, spread, fmt="none", ecolor=series.colour, elinewidth=width, capsize=2)
    else:
        axes.fill_between(series.x, low, high, where=whole, color=series.colour, alpha=0.2, linewidth=0)


def _set_axis(axes: Axes, name: str, axis: Axis, values: Numbers) -> None:
    if axis.scale == "log" and not any(value > 0 for value in values):  # nothing that Matplotlib could scale
        axis = axis._replace(scale="linear")
    if axis.scale == "symlog":
        getattr(axes, f"set_{name}scale")("symlog", linthresh=1, linscale=LINEAR)
        axes.set(**{f"{name}lim": (-0.2, None)})
    else:
        axes.set(**{f"{name}scale": axis.scale})
    if name == "x" and axis.scale == "linear" and all(float(step).is_integer() for step in values):  # no half steps
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(set(values)) == 1:  # around which Matplotlib shows a few hundredths of a step
            axes.set(xlim=(values[0] - 1, values[0] + 1), xticks=[values[0]])
    if any(end is not None for end in axis.ends):
        axes.set(**{f"{name}lim": axis.ends})
    if axis.scale != "linear":
        _number(getattr(axes, f"{name}axis"), axis)
    axes.set(**{f"{name}label": axis.label})


def _number(side: MatplotlibAxis, axis: Axis) -> None:
    """Numbers at the values run, or else at powers of ten and between them on a short axis, which has one or none."""
    low, high = side.get_view_interval()
    decades = math.log10(high / low) if axis.scale == "log" else math.log10(max(high, 1)) + LINEAR
    if axis.scale == "log" and axis.ticks:
        label = log_label(low, high, digits=3)
        side.set_major_formatter(label)
        side.set_major_locator(FixedLocator(_apart(axis.ticks, label, decades)))
        side.set_minor_locator(FixedLocator(axis.ticks))
        side.set_minor_formatter(NullFormatter())
        return
    if axis.scale == "log":
        number_log_axis(side, decades, LogLocator)
    else:
        number_log_axis(side, decades, partial(SymmetricalLogLocator, base=10, linthresh=1))


def _apart(ticks: Numbers, label: Callable[[float], str], decades: float) -> list[float]:
    """Those whose numbers do not run into each other on an axis of so many decades."""
    kept = list(ticks[:1])
    for tick in ticks[1:]:
        letters = (_shown(label(kept[-1])) + _shown(label(tick))) / 2 + 1
        if math.log10(tick / kept[-1]) >= letters * LETTER_ON_AXIS * decades:
            kept.append(tick)
    return kept


def _shown(text: str) -> int:
    """How many letters of a label are seen: what is between dollars is Mathtext."""
    return len(text.replace("\\times", "×").translate(str.maketrans("", "", "$^{}")))


def _draw_legends(figure: Figure, all_axes: Sequence[Axes], content: PanelFigure, size: float) -> None:
    """A legend in the one panel that brings entries; below all panels if several do or it would hide the curves."""
    known: set[str] = set()
    with_new: list[Axes] = []
    for axes, panel in zip(all_axes, content.panels, strict=False):
        entries = {series.name for series in panel.series if series.in_legend and len(series.x)}
        if entries - known:
            with_new.append(axes)
        known |= entries
    found = [dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True)) for axes in with_new]
    if not with_new:
        return
    if len(with_new) == 1 and len(found[0]) <= MOST_INSIDE:
        with_new[0].legend(fontsize=size, framealpha=0.6, handlelength=HANDLE)
        return
    entries = {label: handle for one in found for label, handle in one.items()}
    lines = _legend_below(figure, entries, 2 * content.columns, size)
    more = lines - math.ceil(len(entries) / (2 * content.columns))  # as names are long, for which there is no room
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * more)


def _legend_below(figure: Figure, entries: dict[str, Artist], columns: int, size: float) -> int:
    """One below all axes, where it hides nothing, and how many lines high; in fewer columns if names are long."""
    place = {"loc": "outside lower center", "handlelength": HANDLE, "fontsize": size}
    for count in range(columns, 0, -1):
        legend = figure.legend(entries.values(), entries.keys(), ncols=count, **place)
        if legend.get_window_extent().width <= figure.bbox.width:
            return math.ceil(len(entries) / count)
        legend.remove()
    width = figure.get_figwidth() - 2 * HANDLE * size / 72  # without what is beside the names
    names = [wrapped(width, size, name) for name in entries]
    figure.legend(entries.values(), names, **place)
    return sum(len(name.splitlines()) for name in names)


def _file_name(text: str) -> str:
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-.=") else "_" for c in text)
    return "_".join(part for part in kept.split("_") if part)[:60]
