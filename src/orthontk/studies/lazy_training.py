"""Claim 3: in the lazy regime both initializations train alike; Fig. 3 and the supplement."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from orthontk.checks import number
from orthontk.counted import counted
from orthontk.figures.panels import Axis, Panel, PanelFigure
from orthontk.figures.style import STEPS
from orthontk.report.claims import Claim, Shrinking, of_each_panel, of_those_left, sameness
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap, difference_of
from orthontk.studies.curves import INTERVALS, colours_of, mean_curve
from orthontk.studies.initializations import BASELINE, others
from orthontk.studies.study import Study, by

# Of the training set, and of images held out of it; the test set is looked at once, at the end.
CURVES = ("train/loss", "val/loss", "train/accuracy", "val/accuracy")
LABELS = {curve: curve.replace("val/", "held-out ").replace("/", " ") for curve in CURVES}
# Of tanh networks on CIFAR-10: mean train loss and accuracy at step 1000, by (depth, width, η): Gaussian, orthogonal.
AUTHORS = {
    (3, 400, 1e-3): {"train/loss": (0.422, 0.393), "train/accuracy": (0.920, 0.941)},
    (7, 800, 1e-4): {"train/loss": (0.753, 0.748), "train/accuracy": (0.470, 0.481)},
}


class LazyTraining(Study):
    """Loss and accuracy curves of one initialization against those of Gaussian weights, seed by seed.

    The gap of a loss is the difference of its logs, averaged over the steps after the first that it was measured at.

    Args:
        loss_margin: within which the gap of the widest networks counts as none.
        margin_reason: why that one.
    """

    PANEL = ("family", "activation", "depth", "learning_rate")
    AXES = ("init", "width", "optimizer.lr")
    NEEDS = "losses after an update of Gaussian weights and of another initialization, of the same seeds"

    def __init__(self, loss_margin: float, margin_reason: str) -> None:
        self.loss_margin, self.margin_reason = number("loss_margin", loss_margin, above=0), margin_reason

    @staticmethod
    def describe(name: str, value: object) -> str:
        return f"η={value:g}" if name == "learning_rate" else Study.describe(name, value)

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each run, step and curve; no learning rate where one was found for each seed."""
        rows = []
        for run in runs:
            found = run.get("optimizer.lr_fraction") is not None
            settings = run.settings() | {"learning_rate": np.nan if found else run.get("optimizer.lr")}
            for row in run.rows:
                curves = [{"curve": name, "value": row[name]} for name in CURVES if name in row]
                rows += [settings | {"step": row["step"]} | curve for curve in curves]
        return pd.DataFrame(rows)

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return of_each_panel(self.panels(table), self._judge, self.NEEDS)

    def _judge(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        losses = part[part.curve.isin(("train/loss", "val/loss")) & (part.step > 0)]
        for curve, own in by(losses, "curve"):
            for init in others(own):
                shared = _shared(own, init)
                if not shared:
                    continue
                gaps = [_gaps(rows, init) for _, rows in shared]
                width, widest = shared[-1]
                notes = ["delta-orthogonal networks have another kernel"] if init == "delta_orthogonal" else []
                if left_out := widest.seed.nunique() - len(gaps[-1]):
                    notes.append(f"{counted(left_out, 'seed')} left out, without a finite loss of both at every step")
                pairs = (widest.groupby("seed").init.nunique() > 1).sum()
                alike = sameness(
                    f"lazy: {init} and Gaussian weights train alike",
                    f"{where} n={width}",
                    f"log({init}/Gaussian {LABELS[curve]}), mean over steps",
                    bootstrap(np.mean, gaps[-1]),
                    self.loss_margin,
                    shrinking=_shrinking(gaps) if len(gaps) > 1 else None,
                    reason=self.margin_reason,
                    note="; ".join(notes),
                )
                yield of_those_left(alike, 1 - len(gaps[-1]) / pairs)

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        panels, colours = [], colours_of(table)
        for where, part in self.panels(table):
            widths = [width for init in others(part) for width, _ in _shared(part, init)]
            width = max(widths, default=part.width.max())
            widest = part[part.width.isin([width])]
            for curve in CURVES:
                own = widest[widest.curve == curve]
                series = [mean_curve(one, "step", "value", colours[init], init) for init, one in by(own, "init")]
                panels.append(Panel(f"{where} n={width}", Axis(STEPS), Axis(LABELS[curve]), series))
        return PanelFigure(panels, columns=len(CURVES), intervals=INTERVALS)

    def comparison(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        rows = []
        table = table[(table.family == "FCN") & (table.activation == "tanh") & (table.data == "cifar10")]
        for (depth, width, rate), figures in AUTHORS.items():
            same = table[(table.depth == depth) & (table.width == width) & (table.step == 1000)]
            same = same[np.isclose(same.learning_rate, rate)]
            for (where, part), (curve, published) in product(self.parts(same), figures.items()):
                for init, value in zip(("gaussian", "orthogonal"), published, strict=True):
                    own = part[(part.curve == curve) & (part.init == init)]
                    if len(own):
                        name = f"{curve} at step 1000, L={depth} n={width}, {init} {where}".rstrip()
                        rows.append({"quantity": name, "authors": value, **bootstrap(np.mean, own.value)._asdict()})
        return rows


def _shared(table: pd.DataFrame, init: str) -> list[tuple[int, pd.DataFrame]]:
    """The widths, ascending, at which seeds have been trained from `init` and from Gaussian weights, and their rows."""
    rows = table[table.init.isin((init, BASELINE))]
    return [(width, part) for width, part in by(rows, "width") if part.groupby("seed").init.nunique().max() > 1]


def _gaps(part: pd.DataFrame, init: str) -> np.ndarray:
    """One for each seed of which both trainings have a finite loss at every step: over fewer they are not alike."""
    logs = part.assign(log=np.log(part.value.where((part.value > 0) & np.isfinite(part.value))))
    curves = logs.pivot_table(index="seed", columns=["init", "step"], values="log", dropna=False)
    return (curves[init] - curves[BASELINE]).dropna().mean(axis=1).to_numpy()


def _shrinking(gaps: Sequence[np.ndarray]) -> Shrinking:
    """From the gaps of each seed, narrowest networks first."""
    return Shrinking(bootstrap(np.mean, gaps[0]), bootstrap(difference_of(_size), gaps[0], gaps[-1]))


def _size(gaps: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.abs(np.mean(gaps, axis=axis))
