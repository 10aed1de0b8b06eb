"""`figures/` of an ensemble: bands over its seeds, and τ against the learning rate."""

import math
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from orthontk.ensemble.bands import Curves, Kind, band, read_curves
from orthontk.ensemble.rows import read_rows
from orthontk.figures.style import BLUE, GREEN, ORANGE, PURPLE, STEPS, new_figure, save

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)  # of initializations
CURVES = ("train/loss", "train/accuracy", "val/accuracy", "ntk/change")
LABELS = {
    "train/loss": "train loss (minibatch)",
    "train/accuracy": "train accuracy (minibatch)",
    "val/accuracy": "validation accuracy",
    "ntk/change": "NTK change",
}
MOST_RATES = 6  # that have axes of their own
LOGARITHMIC = ("train/loss", "ntk/change")


def draw_ensemble(directory: Path) -> list[Path]:
    """Draw every figure that the ensemble's tables allow, and return their paths."""
    figures = directory / "figures"
    curves = read_curves(directory / "metrics.csv")
    drawn = []
    for name in CURVES:
        if name in curves:
            drawn.append(draw_bands(name, curves[name], figures / f"{name.replace('/', '_')}.png"))
    results = list(read_rows(directory / "replicas.csv"))
    if any("train/censored" in result for result in results):
        drawn.append(draw_tau(results, figures / "tau.png"))
    return drawn


def draw_bands(name: str, kinds: dict[Kind, Curves], path: Path) -> Path:
    """Mean and standard deviation over seeds, an axes for each learning rate (some of them, if there are many)."""
    inits = list(dict.fromkeys(init for init, _ in kinds))
    rates = _spread(sorted({rate for _, rate in kinds}))
    columns = min(len(rates), 3)
    figure, all_axes = new_figure(columns=columns, rows=math.ceil(len(rates) / columns))
    for axes, rate in zip(all_axes, rates, strict=False):
        for init, colour in zip(inits, COLOURS, strict=False):
            if (init, rate) in kinds:
                _draw_band(axes, kinds[init, rate], colour, init, name in LOGARITHMIC)
        axes.set(xlabel=STEPS, ylabel=LABELS[name], title=f"learning rate {rate:g}")
        if name in LOGARITHMIC:
            axes.set_yscale("log")
        axes.grid(alpha=0.25)
    for axes in all_axes[len(rates) :]:
        axes.set_axis_off()
    all_axes[0].legend()
    save(figure, path)
    return path


def _draw_band(axes: Axes, curves: Curves, colour: str, label: str, positive: bool) -> None:
    points = [p for p in band(curves) if math.isfinite(p.upper) and (p.mean > 0 or not positive)]
    steps = [point.step for point in points]
    lower = [max(point.lower, point.mean / 10) if positive else point.lower for point in points]
    marker = "o" if len(points) < 10 else None
    axes.plot(steps, [point.mean for point in points], color=colour, marker=marker, markersize=3, label=label)
    axes.fill_between(steps, lower, [point.upper for point in points], color=colour, alpha=0.2, linewidth=0)


def _spread(rates: list[float]) -> list[float]:
    """At most MOST_RATES of them, evenly, with the first and the last."""
    if len(rates) <= MOST_RATES:
        return rates
    return [rates[round(place * (len(rates) - 1) / (MOST_RATES - 1))] for place in range(MOST_RATES)]


def draw_tau(results: list[dict[str, Any]], path: Path) -> Path:
    """τ of every replica and its mean over those that have one; the others at the step where they ended."""
    splits = [split for split in ("train", "test") if any(f"{split}/censored" in result for result in results)]
    figure, all_axes = new_figure(columns=len(splits))
    inits = list(dict.fromkeys(result["init"] for result in results))
    for axes, split in zip(all_axes, splits, strict=True):
        for place, (init, colour) in enumerate(zip(inits, COLOURS, strict=False)):
            own = [result for result in results if result["init"] == init]
            _draw_taus(axes, split, own, colour, init, shift=1.06 ** (place - (len(inits) - 1) / 2))
        axes.set(xscale="log", yscale="symlog", xlabel="learning rate", ylabel=f"τ ({split} set, updates)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.25)
        axes.legend(fontsize="small")
    save(figure, path)
    return path


def _draw_taus(axes: Axes, split: str, results: list[dict], colour: str, label: str, shift: float) -> None:
    reached = [(result["learning_rate"], result[f"{split}/tau"]) for result in results if f"{split}/tau" in result]
    without = [result for result in results if f"{split}/tau" not in result]
    diverged = [(r["learning_rate"], r["steps"]) for r in without if r["status"] == "diverged"]
    censored = [(r["learning_rate"], r["steps"]) for r in without if r["status"] != "diverged"]
    axes.plot([rate * shift for rate, _ in reached], [tau for _, tau in reached], ".", color=colour, alpha=0.35)
    rates = sorted({rate for rate, _ in reached})
    taus = [[tau for other, tau in reached if other == rate] for rate in rates]
    axes.plot([rate * shift for rate in rates], [sum(own) / len(own) for own in taus], "o-", color=colour, label=label)
    for points, marker, what in ((censored, "^", "censored"), (diverged, "x", "diverged")):
        if points:
            places = [rate * shift for rate, _ in points], [steps for _, steps in points]
            many = f"{label}: {len(points)} {what}"
            axes.plot(*places, marker, color=colour, markerfacecolor="none", clip_on=False, label=many)
