"""The mechanism behind claim 4: how close the Jacobian is to an isometry, at initialization and in training."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from orthontk.checks import number
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series
from orthontk.figures.style import STEPS
from orthontk.report.claims import Claim, difference, of_each_panel, sameness
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap, difference_of
from orthontk.studies.curves import INTERVALS, colours_of, mean_curve
from orthontk.studies.initializations import paired
from orthontk.studies.study import Study, by

SPREAD, PREDICTED = "jacobian/relative_variance", "jacobian/predicted_relative_variance"


class DynamicalIsometry(Study):
    """Relative variance of the Jacobian's squared singular values, by regime.

    A regime is q* of the critical point or, without `model.critical`, the two variances; of those how linear they are
    is not known, so that they are compared with no other.

    Args:
        spread_ratio_above: what the Gaussian spread exceeds the orthogonal one by in the linear regime, as a factor.
        prediction_margin: how far the measured spread may be from mean-field theory, as a difference of logs.
    """

    PANEL = ("family", "activation", "depth", "width", "critical", "weight_var", "bias_var")
    AXES = ("init", "model.critical", "model.weight_var", "model.bias_var")
    NEEDS = (
        "spectra of the Jacobian (callbacks=jacobian_spectrum) of Gaussian and orthogonal weights of the same seeds, "
        "or a prediction of mean-field theory"
    )

    def __init__(self, spread_ratio_above: float, prediction_margin: float) -> None:
        self.spread_ratio_above = number("spread_ratio_above", spread_ratio_above, above=0)
        self.prediction_margin = number("prediction_margin", prediction_margin, above=0)

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each run and step at which the spectrum was measured."""
        rows = []
        for run in runs:
            settings = run.settings() | _regime(run)
            measured = [row for row in run.rows if SPREAD in row]
            predicted = measured[0].get(PREDICTED, np.nan) if measured else np.nan
            for row in measured:
                found = {"step": row["step"], "spread": row[SPREAD], "mean_square": row["jacobian/mean_square"]}
                rows.append(settings | found | {"predicted": predicted, "train_loss": row.get("train/loss", np.nan)})
        return pd.DataFrame(rows)

    @staticmethod
    def describe(name: str, value: object) -> str:
        letter = {"critical": "q*", "weight_var": "σ_w²", "bias_var": "σ_b²"}.get(name)
        return f"{letter}={value}" if letter else Study.describe(name, value)

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return of_each_panel(self.panels(table, "critical"), self._judge, self.NEEDS)

    def _judge(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        for critical, own in by(part, "critical"):
            yield from self._at_initialization(_at(where, critical), own)
        yield from self._between_initializations(where, part)

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
        regimes = list(by(table, "critical"))
        (linear, most_linear), (nonlinear, least_linear) = regimes[0], regimes[-1]
        at = _at(where, linear)
        least = _ratios(least_linear)
        for when, ratios in _ratios(most_linear).items():
            yield difference(
                "in the linear regime orthogonal weights are nearer an isometry",
                f"{at}, {when}",
                "log(Gaussian/orthogonal relative variance)",
                bootstrap(np.mean, ratios),
                np.log(self.spread_ratio_above),
                reason=f"a factor of {self.spread_ratio_above:g}",
            )
            if len(regimes) > 1 and when in least:
                yield difference(
                    "the more so, the more linear the regime",
                    f"{at} against q*={nonlinear}, {when}",
                    "log ratio, linear − nonlinear",
                    bootstrap(difference_of(np.mean), ratios, least[when]),
                    0.0,
                )

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        panels, colours = [], colours_of(table)
        for where, part in self.panels(table):
            series, steps = [], [0, max(part.step.max(), 1)]
            for init, own in by(part, "init"):
                series.append(mean_curve(own, "step", "spread", colours[init], init))
                predicted = own.predicted.mean()
                if np.isfinite(predicted):
                    name = f"{init}, mean field"
                    series.append(Series(name, steps, [predicted, predicted], colours[init], "--", width=0.8))
            y = Axis("Var[σ²]/E[σ²]² of the Jacobian", "log")
            panels.append(Panel(where, Axis(STEPS, "symlog"), y, series))
        return PanelFigure(panels, columns=len(panels), intervals=INTERVALS)


def _regime(run: Run) -> dict[str, float]:
    names = ("weight_var", "bias_var") if run.get("model.critical") is None else ("critical",)
    return dict.fromkeys(("critical", "weight_var", "bias_var"), np.nan) | {n: run.get(f"model.{n}") for n in names}


def _at(where: str, critical: float) -> str:
    return where if np.isnan(critical) else f"{where} q*={critical}"


def _ratios(part: pd.DataFrame) -> dict[str, np.ndarray]:
    """log(Gaussian/orthogonal spread) by seed at either end of training, where both were measured."""
    ends = {"initialization": 0, "end of training": part.step.max()}
    found = {}
    for when, step in ends.items():
        if when == "initialization" or step > 0:
            pairs = paired(part[part.step == step], ("gaussian", "orthogonal"), "spread")
            found[when] = np.log(pairs[0] / pairs[1])
    return {when: ratios for when, ratios in found.items() if len(ratios)}
