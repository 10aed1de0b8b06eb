"""The mechanism behind claim 4: how close the Jacobian is to an isometry, at initialization and in training."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from orthontk.figures.panels import Axis, Panel, PanelFigure, Series
from orthontk.figures.style import STEPS
from orthontk.report.claims import Claim, difference, sameness
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap
from orthontk.studies.curves import COLOURS, INTERVALS, mean_curve
from orthontk.studies.study import Study, by

SPREAD, PREDICTED = "jacobian/relative_variance", "jacobian/predicted_relative_variance"


class DynamicalIsometry(Study):
    """Relative variance of the Jacobian's squared singular values, by regime (q* of the critical point).

    Args:
        spread_ratio_above: what the Gaussian spread exceeds the orthogonal one by in the linear regime, as a factor.
        prediction_margin: how far the measured spread may be from mean-field theory, as a difference of logs.
    """

    PANEL = ("family", "activation", "depth", "width", "critical")
    AXES = ("model.critical",)

    def __init__(self, spread_ratio_above: float, prediction_margin: float) -> None:
        self.spread_ratio_above, self.prediction_margin = spread_ratio_above, prediction_margin

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each run and step at which the spectrum was measured."""
        rows = []
        for run in runs:
            settings = run.settings() | {"critical": run.get("model.critical")}
            measured = [row for row in run.rows if SPREAD in row]
            predicted = measured[0].get(PREDICTED, np.nan) if measured else np.nan
            for row in measured:
                found = {"step": row["step"], "spread": row[SPREAD], "mean_square": row["jacobian/mean_square"]}
                rows.append(settings | found | {"predicted": predicted, "train_loss": row.get("train/loss", np.nan)})
        return pd.DataFrame(rows)

    @staticmethod
    def describe(name: str, value: object) -> str:
        return f"q*={value}" if name == "critical" else Study.describe(name, value)

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return [
            *(claim for where, part in self.panels(table) for claim in self._at_initialization(where, part)),
            *(
                claim
                for where, part in self.panels(table, across="critical")
                for claim in self._between_initializations(where, part)
            ),
        ]

    def _at_initialization(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        for init, own in by(part[part.step == 0], "init"):
            if own.predicted.notna().all():
                yield sameness(
                    "mean-field theory gives the spread of the Jacobian's squared singular values",
                    f"{where} {init}",
                    "log(measured/predicted relative variance), initialization",
                    bootstrap(np.mean, np.log(own.spread / own.predicted).to_numpy()),
                    self.prediction_margin,
                    reason="finite width at this L/n",
                )

    def _between_initializations(self, where: str, table: pd.DataFrame) -> Iterator[Claim]:
        ratios = {}
        for (critical, when), part in _ends(table):
            gaussian, orthogonal = (_by_seed(part, init) for init in ("gaussian", "orthogonal"))
            seeds = gaussian.index.intersection(orthogonal.index)
            ratios[critical, when] = np.log(gaussian[seeds] / orthogonal[seeds]).to_numpy()
        linear, nonlinear = table.critical.min(), table.critical.max()
        for when in ("initialization", "end of training"):
            if len(ratios.get((linear, when), ())):
                yield difference(
                    "in the linear regime orthogonal weights are nearer an isometry",
                    f"{where} q*={linear}, {when}",
                    "log(Gaussian/orthogonal relative variance)",
                    bootstrap(np.mean, ratios[linear, when]),
                    np.log(self.spread_ratio_above),
                    reason=f"a factor of {self.spread_ratio_above:g}",
                )
            if linear != nonlinear and len(ratios.get((nonlinear, when), ())) and len(ratios.get((linear, when), ())):
                yield difference(
                    "the more so, the more linear the regime",
                    f"{where} q*={linear} against q*={nonlinear}, {when}",
                    "log ratio, linear − nonlinear",
                    bootstrap(_decrease, ratios[linear, when], ratios[nonlinear, when]),
                    0.0,
                )

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        panels = []
        for where, part in self.panels(table):
            series, steps = [], [0, max(part.step.max(), 1)]
            for init, own in by(part, "init"):
                series.append(mean_curve(own, "step", "spread", COLOURS[init], init))
                predicted = own.predicted.mean()
                if np.isfinite(predicted):
                    name = f"{init}, mean field"
                    series.append(Series(name, steps, [predicted, predicted], COLOURS[init], "--", width=0.8))
            y = Axis("Var[σ²]/E[σ²]² of the Jacobian", "log")
            panels.append(Panel(where, Axis(STEPS, "symlog"), y, series))
        return PanelFigure(panels, columns=len(panels), intervals=INTERVALS)


def _ends(table: pd.DataFrame) -> Iterator[tuple[tuple[float, str], pd.DataFrame]]:
    for critical, part in by(table, "critical"):
        yield (critical, "initialization"), part[part.step == 0]
        if part.step.max() > 0:
            yield (critical, "end of training"), part[part.step == part.step.max()]


def _by_seed(part: pd.DataFrame, init: str) -> pd.Series:
    return part[part.init == init].groupby("seed").spread.mean()


def _decrease(linear: np.ndarray, nonlinear: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.mean(linear, axis=axis) - np.mean(nonlinear, axis=axis)
