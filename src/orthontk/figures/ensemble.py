"""What there is to see of an ensemble, as data, and `figures/` drawn from it: bands over seeds, and τ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from orthontk.csv_rows import read_rows
from orthontk.ensemble.bands import Curves, Kind, Point, band, read_curves
from orthontk.figures.draw_panels import draw_panels
from orthontk.figures.looks import looks
from orthontk.figures.panels import Axis, Line, Panel, PanelFigure, Series
from orthontk.figures.run import evenly
from orthontk.figures.style import STEPS
from orthontk.figures.taus import taus
from orthontk.run.directory import METRICS, REPLICAS
from orthontk.splits import TAU_SPLITS

CURVES = {
    "train/loss": Axis("train loss (minibatch)", "log"),
    "train/accuracy": Axis("train accuracy (minibatch)"),
    "val/accuracy": Axis("validation accuracy"),
    "ntk/change": Axis("NTK change", "log"),
}
MOST_RATES = 6  # that have axes of their own
INTERVALS, CUT = "bands are a standard deviation over seeds", 10  # no lower than a tenth of the mean on a log axis


def draw_ensemble(directory: Path) -> list[Path]:
    """Draw every figure that the ensemble's tables allow, and return their paths."""
    figures = ensemble_figures(directory).items()
    return [draw_panels(content, directory / "figures" / f"{name}.png") for name, content in figures]


def ensemble_figures(directory: Path) -> dict[str, PanelFigure]:
    """By name, each figure that the ensemble's tables have something for."""
    curves = read_curves(directory / METRICS)
    found = {name.replace("/", "_"): bands(name, curves[name]) for name in CURVES if name in curves}
    found = {name: figure for name, figure in found.items() if figure.panels}
    results = list(read_rows(directory / REPLICAS))
    if any(f"{split}/censored" in result for result in results for split in TAU_SPLITS):
        found["tau"] = taus(results)
    return found


def bands(name: str, kinds: Mapping[Kind, Curves]) -> PanelFigure:
    """Mean and standard deviation over seeds, a panel for each learning rate (some of them, if there are many).

    A replica that has ended is in no mean any more. Those left are no sample of all: their mean has its own line.
    """
    inits = list(dict.fromkeys(init for init, _ in kinds))
    all_rates = sorted({rate for _, rate in kinds})
    rates = evenly(all_rates, MOST_RATES)
    panels, is_cut = [], False
    for rate in rates:
        own = {init: kinds[init, rate] for init in inits if (init, rate) in kinds}
        series, fewer = [], []
        for init, (colour, line) in zip(inits, looks(), strict=False):
            if init in own:
                points = band(own[init])
                positive = CURVES[name].scale == "log"
                is_cut |= positive and any(point.lower < point.mean / CUT for point in points)
                series += _bands(points, len(own[init]), colour, line, init, positive)
                if points and points[-1].replicas < len(own[init]):
                    fewer.append(f"{init} {points[-1].replicas} of {len(own[init])}")
        title = f"learning rate {rate:g}" + (f"; left at the end: {', '.join(fewer)}" if fewer else "")
        if series:
            panels.append(Panel(title, Axis(STEPS), CURVES[name], series))
    if panels and CURVES[name].scale == "linear":
        panels = _on_one_scale(panels)
    title = f"{CURVES[name].label}, mean over seeds"
    title += f"; {len(panels)} of {len(all_rates)} learning rates" if len(panels) < len(all_rates) else ""
    intervals = INTERVALS + (", cut at a tenth of the mean" if is_cut else "")
    return PanelFigure(panels, max(1, min(len(panels), 3)), intervals, title)


def _on_one_scale(panels: Sequence[Panel]) -> list[Panel]:
    """Accuracies; losses and kernels differ by powers of ten between learning rates."""
    values = [
        value
        for panel in panels
        for one in panel.series
        for part in (one.y, one.low or (), one.high or ())
        for value in part
    ]
    margin = 0.05 * (max(values) - min(values)) if len(set(values)) > 1 else 0.05
    return [replace(panel, y=panel.y._replace(ends=(min(values) - margin, max(values) + margin))) for panel in panels]


def _bands(points: Sequence[Point], replicas: int, colour: str, line: Line, name: str, positive: bool) -> list[Series]:
    """The mean while it is over all replicas, and from where they become fewer.

    None if there is only what the last replica was measured at by itself, which says nothing of the others.
    """
    points = [p for p in points if math.isfinite(p.upper) and (p.mean > 0 or not positive)]
    if len(points) == 1 and points[0].replicas == 1 < replicas:
        return []
    count = sum(1 for _ in takewhile(lambda point: point.replicas == replicas, points))
    whole, left = points[:count], points[max(0, count - 1) :]
    low = [max(point.lower, point.mean / CUT) if positive else point.lower for point in whole]
    marker = "o" if len(points) < 10 else ""
    steps, means, high = ([getattr(p, part) for p in whole] for part in ("step", "mean", "upper"))
    first_marker = "o" if count == 1 else marker
    series = [Series(name, steps, means, colour, line, first_marker, low=low, high=high)] if whole else []
    if count < len(points):
        steps, means = ([getattr(p, part) for p in left] for part in ("step", "mean"))
        series.append(Series(f"{name}, those left", steps, means, colour, "--", marker))
    return series
