"""What there is to see of an ensemble, as data, and `figures/` drawn from it: bands over seeds, and τ."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, takewhile
from pathlib import Path
from typing import Any

from orthontk.csv_rows import read_rows
from orthontk.ensemble.bands import Curves, Kind, Point, band, read_curves
from orthontk.figures.draw_panels import draw_panels
from orthontk.figures.panels import Axis, Line, Panel, PanelFigure, Series, axis_of_settings
from orthontk.figures.run import evenly
from orthontk.figures.style import AMBER, BLUE, GREEN, ORANGE, PURPLE, SKY, STEPS
from orthontk.splits import TAU_SPLITS

COLOURS, LINES = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER), ("-", ":", "-.")  # of initializations
CURVES = {
    "train/loss": Axis("train loss (minibatch)", "log"),
    "train/accuracy": Axis("train accuracy (minibatch)"),
    "val/accuracy": Axis("validation accuracy"),
    "ntk/change": Axis("NTK change", "log"),
}
MARKERS = {"censored": "^", "diverged": "x"}  # of replicas without a τ
MOST_RATES = 6  # that have axes of their own
INTERVALS, CUT = "bands are a standard deviation over seeds", 10  # no lower than a tenth of the mean on a log axis


def draw_ensemble(directory: Path) -> list[Path]:
    """Draw every figure that the ensemble's tables allow, and return their paths."""
    figures = ensemble_figures(directory).items()
    return [draw_panels(content, directory / "figures" / f"{name}.png") for name, content in figures]


def ensemble_figures(directory: Path) -> dict[str, PanelFigure]:
    """By name, each figure that the ensemble's tables have something for."""
    curves = read_curves(directory / "metrics.csv")
    found = {name.replace("/", "_"): bands(name, curves[name]) for name in CURVES if name in curves}
    results = list(read_rows(directory / "replicas.csv"))
    if any("train/censored" in result for result in results):
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
        for init, (colour, line) in zip(inits, _looks(), strict=False):
            if init in own:
                points = band(own[init])
                positive = CURVES[name].scale == "log"
                is_cut |= positive and any(point.lower < point.mean / CUT for point in points)
                series += _bands(points, len(own[init]), colour, line, init, positive)
                if points and points[-1].replicas < len(own[init]):
                    fewer.append(f"{init} {points[-1].replicas} of {len(own[init])}")
        title = f"learning rate {rate:g}" + (f"; left at the end: {', '.join(fewer)}" if fewer else "")
        panels.append(Panel(title, Axis(STEPS), CURVES[name], series))
    title = f"{CURVES[name].label}, mean over seeds"
    title += f"; {len(rates)} of {len(all_rates)} learning rates" if len(rates) < len(all_rates) else ""
    return PanelFigure(
        panels, min(len(rates), 3), INTERVALS + (", cut at a tenth of the mean" if is_cut else ""), title
    )


def _looks() -> Iterator[tuple[str, Line]]:
    """Of one initialization after another: colours, again with other lines where there are many."""
    for line in cycle(LINES):
        for colour in COLOURS:
            yield colour, line


def _bands(points: Sequence[Point], replicas: int, colour: str, line: Line, name: str, positive: bool) -> list[Series]:
    """The mean while it is over all replicas, and from where they become fewer."""
    points = [p for p in points if math.isfinite(p.upper) and (p.mean > 0 or not positive)]
    count = sum(1 for _ in takewhile(lambda point: point.replicas == replicas, points))
    whole, left = points[:count], points[max(0, count - 1) :]
    low = [max(point.lower, point.mean / CUT) if positive else point.lower for point in whole]
    marker = "o" if len(points) < 10 else ""
    steps, means, high = ([getattr(p, part) for p in whole] for part in ("step", "mean", "upper"))
    series = [Series(name, steps, means, colour, line, marker, low=low, high=high)] if whole else []
    if count < len(points):
        steps, means = ([getattr(p, part) for p in left] for part in ("step", "mean"))
        series.append(Series(f"{name}, those left", steps, means, colour, "--", marker))
    return series


def taus(results: Sequence[dict[str, Any]]) -> PanelFigure:
    """τ of every replica and its mean over those that have one; the others at the step where they ended."""
    splits = [split for split in TAU_SPLITS if any(f"{split}/censored" in result for result in results)]
    inits = list(dict.fromkeys(result["init"] for result in results))
    rate = axis_of_settings("learning rate", (result["learning_rate"] for result in results))
    panels = []
    for split in splits:
        series = []
        for place, (init, (colour, line)) in enumerate(zip(inits, _looks(), strict=False)):
            own = [result for result in results if result["init"] == init]
            series += _taus(split, own, colour, line, init, shift=1.06 ** (place - (len(inits) - 1) / 2))
        label = f"τ ({split} set, updates)"
        has_zero = any(value <= 0 for one in series for value in one.y)  # which a minibatch above the threshold gives
        y = Axis(label, "symlog", ends=(0, None)) if has_zero else Axis(label, "log")
        panels.append(Panel(_without_tau(split, results, inits), rate, y, series))
    return PanelFigure(panels, len(splits), title="τ against the learning rate, mean of the replicas that have one")


def _taus(split: str, results: Sequence[dict], colour: str, line: Line, name: str, shift: float) -> list[Series]:
    reached = [(result["learning_rate"], result[f"{split}/tau"]) for result in results if f"{split}/tau" in result]
    rates = sorted({rate for rate, _ in reached})
    means = [_mean([tau for other, tau in reached if other == rate]) for rate in rates]
    series = [
        Series(name, *_points(reached, shift), colour, "", ".", opacity=0.35, in_legend=False),
        Series(name, [rate * shift for rate in rates], means, colour, line, "o"),
    ]
    for what, marker in MARKERS.items():
        points = [(result["learning_rate"], result["steps"]) for result in results if _ended(result, split) == what]
        if points:
            series.append(Series(f"{name}: {what}", *_points(points, shift), colour, "", marker))
    return series


def _ended(result: dict[str, Any], split: str) -> str | None:
    """Why a replica has no τ; None if it has one."""
    if f"{split}/tau" in result:
        return None
    return "diverged" if result["status"] == "diverged" else "censored"


def _without_tau(split: str, results: Sequence[dict[str, Any]], inits: Sequence[str]) -> str:
    """How many have no τ for this split, for the panel's title: a legend is one for both splits."""
    told = []
    for init in inits:
        ended = [_ended(result, split) for result in results if result["init"] == init]
        if parts := [f"{ended.count(what)} {what}" for what in MARKERS if what in ended]:
            told.append(f"{init}: {' and '.join(parts)} of {len(ended)}")
    return "; ".join(told)


def _points(points: Sequence[tuple[float, float]], shift: float) -> tuple[list[float], list[float]]:
    return [rate * shift for rate, _ in points], [value for _, value in points]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
