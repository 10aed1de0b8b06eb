"""Claim 2: the NTK hardly moves in training, the less the wider the network; Fig. 2."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from orthontk.checks import integer, number
from orthontk.figures.panels import Axis, Line, Panel, PanelFigure, axis_of_settings
from orthontk.report.claims import Claim, Shrinking, below, difference, not_judged, of_each_panel, of_those_left
from orthontk.report.gather import Run
from orthontk.report.statistics import Interval, bootstrap, difference_of, geometric_mean, log_slope
from orthontk.studies.curves import INTERVALS, colours_of, mean_curve
from orthontk.studies.study import Study, by, samples

Statistic = Callable[..., np.ndarray]
# Of the FCN with erf and L = 4 on CIFAR-10, at η = 1 for their loss, which is half of this project's.
LEARNING_RATE = 0.5
# Slopes over n ≥ 64 from the authors' data, by initialization.
AUTHORS = {
    "NTK": {"gaussian": -0.87, "orthogonal": -0.91},
    "first layer": {"gaussian": -0.48, "orthogonal": -0.50},
    "hidden layers": {"gaussian": -1.03, "orthogonal": -1.03},
    "last layer": {"gaussian": -0.58, "orthogonal": -0.57},
}
MOVES = "in training the NTK moves by O(1/√n) at most"
ORDER = "hidden layers move as 1/n, first and last as 1/√n"
LEAST_WIDTHS = 3  # of a slope with an interval
LAYERS = ("first layer", "hidden layers", "last layer")
LINES: dict[str, Line] = {"NTK": "-", "first layer": ":", "hidden layers": "--", "last layer": "-."}


class KernelDrift(Study):
    """Relative Frobenius changes of the NTK and of each layer's weights, and the slopes of their geometric means in n.

    Args:
        ntk_slope_above: what −slope of the NTK's change exceeds.
        change_margin: the change of the NTK that counts as none, in the widest networks.
        smallest_width, smallest_channels: of the slopes, FCN and CNN.
    """

    PANEL = ("family", "activation", "depth", "init")
    AXES = ("width",)
    NEEDS = "networks that did not diverge, with a kernel measured at the end of their training (callbacks=ntk)"

    def __init__(
        self, ntk_slope_above: float, change_margin: float, smallest_width: int, smallest_channels: int
    ) -> None:
        self.ntk_slope_above = number("ntk_slope_above", ntk_slope_above)
        self.change_margin = number("change_margin", change_margin, above=0)
        self.smallest = {
            "FCN": integer("smallest_width", smallest_width),
            "CNN": integer("smallest_channels", smallest_channels),
        }

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each run and quantity; the change over the whole training."""
        return pd.DataFrame([run.settings() | row for run in runs for row in _changes(run)])

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return of_each_panel(self.panels(table), self._judge, self.NEEDS)

    def _judge(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        kernels = self._wide(part[part.quantity == "NTK"])
        diverged = (kernels.diverged & ~np.isfinite(kernels.change)).groupby(kernels.width).mean().max()
        yield from (of_those_left(claim, diverged) for claim in self._of_finite(where, part))

    def _of_finite(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        kernels, note = part[part.quantity == "NTK"], self._left_out(part)
        if not np.isfinite(kernels.change).any():
            return
        widths, changes = self._samples(kernels)
        if len(widths) < LEAST_WIDTHS:
            yield not_judged(MOVES, where, self._needs(part, widths))
        else:
            yield difference(
                MOVES,
                where,
                f"−slope of log ‖Θ_T−Θ_0‖/‖Θ_0‖ in log n, n = {widths[0]:g}…{widths[-1]:g}",
                _slope(widths, changes),
                self.ntk_slope_above,
                reason="the theorem's bound; a kernel that keeps moving has slope 0",
                note=note,
            )
        if widths:
            yield self._constant(f"{where} n={widths[-1]:g}", changes, note)
        widths, layers = self._layers(part)
        if len(widths) >= LEAST_WIDTHS:
            yield difference(
                ORDER,
                where,
                "−slope of the hidden layers less the larger of the other two",
                bootstrap(_ordering(widths), *layers),
                0.0,
                reason="the ordering is claimed, not the size",
                note=note,
            )
        elif set(LAYERS) <= set(part.quantity):
            yield not_judged(ORDER, where, self._needs(part, widths))

    def _needs(self, part: pd.DataFrame, widths: Sequence[float]) -> str:
        return f"{LEAST_WIDTHS} widths of at least {self._smallest(part)} that were measured, has {len(widths)}"

    def _smallest(self, part: pd.DataFrame) -> int:
        return self.smallest.get(part.family.iloc[0], 0)

    def _constant(self, where: str, changes: Sequence[np.ndarray], note: str) -> Claim:
        """Of the widest networks; of those of one width it cannot be seen whether it shrinks."""
        narrowest, widest = changes[0], changes[-1]
        decrease = bootstrap(difference_of(geometric_mean), narrowest, widest)
        return below(
            "the NTK of wide networks is constant in training",
            where,
            "‖Θ_T−Θ_0‖/‖Θ_0‖, geometric mean",
            bootstrap(geometric_mean, widest),
            self.change_margin,
            shrinking=Shrinking(bootstrap(geometric_mean, narrowest), decrease) if len(changes) > 1 else None,
            reason="a tenth: predictions of the linearized training then err by about as much",
            note=note,
        )

    def _wide(self, part: pd.DataFrame) -> pd.DataFrame:
        return part[part.width >= self._smallest(part)]

    def _left_out(self, part: pd.DataFrame) -> str:
        """How many runs have no finite change of the NTK, by why."""
        kernels = self._wide(part[part.quantity == "NTK"])
        diverged = kernels[~np.isfinite(kernels.change)].diverged
        counts = {"diverged": diverged.sum(), "were not measured at their end": (~diverged).sum()}
        return "; ".join(f"{n} of {len(kernels)} runs {why}, and are left out" for why, n in counts.items() if n)

    def _samples(self, part: pd.DataFrame) -> tuple[list[float], list[np.ndarray]]:
        wide = self._wide(part)
        return samples(wide[np.isfinite(wide.change)], "change")

    def _layers(self, part: pd.DataFrame) -> tuple[list[float], list[np.ndarray]]:
        """The widths at which first, hidden and last layers were measured; the samples of each layer, by width."""
        found = {quantity: dict(zip(*self._samples(own), strict=True)) for quantity, own in by(part, "quantity")}
        layers = [found.get(name, {}) for name in LAYERS]
        widths = sorted(set.intersection(*map(set, layers)))
        return widths, [layer[width] for layer in layers for width in widths]

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        panels, colours = [], colours_of(table)
        for where, part in self.panels(table, "init"):
            for names, quantities in (("NTK", ["NTK"]), ("weights", LAYERS)):
                series = [
                    mean_curve(own, "width", "change", colours[init], f"{init}, {quantity}", LINES[quantity])
                    for (quantity, init), own in part[part.quantity.isin(quantities)].groupby(["quantity", "init"])
                ]
                y = Axis(f"relative change of the {names}", "log")
                panels.append(Panel(f"{where}: {names}", axis_of_settings("width n", part.width), y, series))
        return PanelFigure(panels, columns=2, intervals=INTERVALS)

    def comparison(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        rows, same = [], table[(table.family == "FCN") & (table.activation == "erf") & (table.depth == 4)]
        same = same[(same.data == "cifar10") & np.isclose(same.learning_rate.astype(float), LEARNING_RATE)]
        for where, part in self.parts(same, "activation", "depth", "data", "quantity", "init"):
            (widths, changes), quantity, init = self._samples(part), part.quantity.iloc[0], part.init.iloc[0]
            if len(widths) >= LEAST_WIDTHS and init in AUTHORS.get(quantity, {}):
                estimate, low, high, seeds = _slope(widths, changes)
                span = f"n = {widths[0]:g}…{widths[-1]:g} (authors 64…4096)"
                name = f"slope {where}, {span}"
                here = {"estimate": -estimate, "low": -high, "high": -low, "seeds": seeds}
                rows.append({"quantity": name, "authors": AUTHORS[quantity][init], **here})
        return rows


def _changes(run: Run) -> Iterator[dict[str, Any]]:
    """NTK, first, mean of the hidden, and last layer; NaN of a run that diverged or did not measure it."""
    layers = sorted({name for row in run.rows for name in row if name.startswith("weights/change/")}, key=_number)
    values = [_at_last_step(run, name) for name in layers]
    found = {"NTK": _at_last_step(run, "ntk/change")}
    if len(values) > 2:
        found |= dict(zip(LAYERS, (values[0], float(np.mean(values[1:-1])), values[-1]), strict=True))
    losses = [row["train/loss"] for row in run.rows if "train/loss" in row]  # of which no claim is
    training = {"learning_rate": run.get("optimizer.lr"), "train_loss": losses[-1] if losses else None}
    training["diverged"] = run.diverged
    for quantity, change in found.items():
        yield training | {"quantity": quantity, "change": change}


def _at_last_step(run: Run, metric: str) -> float:
    """NaN where it was measured before alone: a change of part of the training."""
    last = run.rows[-1]["step"] if run.rows else None
    return next((row[metric] for row in run.rows if row["step"] == last and metric in row), np.nan)


def _slope(widths: Sequence[float], changes: Sequence[np.ndarray]) -> Interval:
    """−slope; seeds of different widths are independent networks."""
    return bootstrap(_negative(log_slope(widths, geometric_mean)), *changes)


def _number(layer: str) -> int:
    return int(layer.rpartition("layer")[2])


def _negative(statistic: Statistic) -> Statistic:
    return lambda *samples, axis=-1: -statistic(*samples, axis=axis)


def _ordering(widths: list[float]) -> Statistic:
    slope, count = log_slope(widths, geometric_mean), len(widths)

    def margin(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        first, hidden, last = (slope(*samples[i * count : (i + 1) * count], axis=axis) for i in range(3))
        return np.minimum(first, last) - hidden

    return margin
