"""τ of an ensemble's replicas against the learning rate."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from orthontk.ensemble.results import Result, summarize
from orthontk.figures.looks import looks
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series, axis_of_settings
from orthontk.splits import TAU_SPLITS

TAU_LABELS = {"train": "τ on minibatches (updates)", "test": "τ on the test set (updates)"}
MARKERS = {"censored": "^", "diverged": "x"}  # of replicas without a τ
SHIFT = 1.06  # as far side by side as learning rates allow, up to this


def taus(results: Sequence[Result]) -> PanelFigure:
    """τ of every replica with mean and error of those that have one; the others at the step where they ended.

    Below, if there are others, how large a share of the replicas they are.
    """
    splits = [split for split in TAU_SPLITS if any(f"{split}/censored" in result for result in results)]
    inits = list(dict.fromkeys(result["init"] for result in results))
    label = "learning rate (initializations side by side)" if len(inits) > 1 else "learning rate"
    rate = axis_of_settings(label, (result["learning_rate"] for result in results))
    above, below = [], []
    for split in splits:
        series, shares = [], []
        for own, look in _side_by_side(results, inits):
            series += _taus(split, own, look)
            shares.append(_share_without(split, own, look))
        has_zero = any(value <= 0 for one in series for value in one.y)  # which a minibatch above the threshold gives
        y = Axis(TAU_LABELS[split], "symlog", ends=(0, None)) if has_zero else Axis(TAU_LABELS[split], "log")
        above.append(Panel(_without_tau(split, results, inits), rate, y, series))
        below.append(Panel("", rate, Axis("share of replicas without a τ", ends=(-0.05, 1.05)), shares))
    title = "τ against the learning rate, mean of the replicas that have one"
    panels = above + below if any(panel.title for panel in above) else above
    return PanelFigure(panels, len(splits), "bars are a standard error of the mean over replicas with a τ", title)


def _side_by_side(results: Sequence[Result], inits: Sequence[str]) -> Iterator[tuple[list[Result], Series]]:
    """Of each initialization the replicas, each with its place nearest to its own rate, and an empty curve."""
    rates = sorted({result["learning_rate"] for result in results})
    nearest = min((high / low for low, high in pairwise(rates)), default=math.inf)
    shift = min(SHIFT, nearest ** (0.5 / len(inits)))
    for number, (init, (colour, line)) in enumerate(zip(inits, looks(), strict=False)):
        moved = shift ** (number - (len(inits) - 1) / 2)
        own = [result | {"place": result["learning_rate"] * moved} for result in results if result["init"] == init]
        yield own, Series(init, [], [], colour, line, "o")


def _taus(split: str, own: Sequence[Result], look: Series) -> list[Series]:
    points = [(result["place"], result[f"{split}/tau"]) for result in own if f"{split}/tau" in result]
    cloud = replace(look, line="", marker=".", opacity=0.35, in_legend=False)
    series = [_with_points(cloud, points), _means(split, own, look)]
    for what, marker in MARKERS.items():
        points = [(result["place"], result["steps"]) for result in own if _ended(result, split) == what]
        if points:
            series.append(_with_points(replace(look, name=f"{look.name}: {what}", line="", marker=marker), points))
    return series


def _means(split: str, own: Sequence[Result], look: Series) -> Series:
    """With bars, if several replicas of a learning rate have a τ."""
    groups = [(place, group[f"{split}/tau"]) for place, group in _groups(own) if group[f"{split}/tau"]["uncensored"]]
    means = _with_points(look, [(place, tau["mean"]) for place, tau in groups])
    if not any(tau["standard_error"] for _, tau in groups):
        return means
    errors = [tau["standard_error"] or 0.0 for _, tau in groups]
    low, high = ([tau["mean"] + sign * e for (_, tau), e in zip(groups, errors, strict=True)] for sign in (-1, 1))
    return replace(means, low=low, high=high, bars=True)


def _share_without(split: str, own: Sequence[Result], look: Series) -> Series:
    points = [(place, group[f"{split}/tau"]["censored"] / group["replicas"]) for place, group in _groups(own)]
    return replace(_with_points(look, points), in_legend=False)


def _groups(own: Sequence[Result]) -> list[tuple[float, Result]]:
    """What `summary.json` says of each learning rate, and its place on the axis."""
    places = {result["learning_rate"]: result["place"] for result in own}
    return sorted((places[group["learning_rate"]], group) for group in summarize(own))


def _ended(result: Result, split: str) -> str | None:
    """Why a replica has no τ; None if it has one."""
    if f"{split}/tau" in result:
        return None
    return "diverged" if result["status"] == "diverged" else "censored"


def _without_tau(split: str, results: Sequence[Result], inits: Sequence[str]) -> str:
    """How many have no τ for this split, for the panel's title: a legend is one for both splits."""
    told = []
    for init in inits:
        ended = [_ended(result, split) for result in results if result["init"] == init]
        if parts := [f"{ended.count(what)} {what}" for what in MARKERS if what in ended]:
            told.append(f"{init}: {' and '.join(parts)} of {len(ended)}")
    return "; ".join(told)


def _with_points(series: Series, points: Sequence[tuple[float, float]]) -> Series:
    return replace(series, x=[place for place, _ in points], y=[value for _, value in points])
