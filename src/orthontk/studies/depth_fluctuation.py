"""Claim 5: fluctuations of the NTK grow with depth/width for Gaussian weights and not for orthogonal ones with tanh."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from orthontk.checks import number
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series
from orthontk.report.claims import Claim, below, difference, of_each_panel
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap, difference_of, log_variance, relative_variance
from orthontk.run.directory import NTK_DRAWS
from orthontk.studies.curves import colours_of
from orthontk.studies.study import Study, by
from orthontk.tensor_files import read_tensors

Statistic = Callable[..., np.ndarray]
MEASURES = {"Var[Θ]/E[Θ]²": relative_variance, "Var[log Θ]": log_variance}
ORTHOGONAL = ("orthogonal", "flat_orthogonal", "delta_orthogonal")
TANH_LIKE = ("tanh", "erf", "identity")  # odd, and linear around 0: of these alone orthogonal weights do not fluctuate
CONTROLS = ("relu", "leaky_relu", "leakyrelu")  # for which they do
SMALLEST_DRAWN = 1e-8  # below it is rounding: a linear orthogonal network does not fluctuate at all


class DepthFluctuation(Study):
    """Var[Θ(x,x)]/E[Θ(x,x)]² and Var[log Θ(x,x)] over draws, against L/n.

    Args:
        gaussian_above: what Var/E² exceeds for Gaussian weights at the largest L/n.
        orthogonal_below: what it stays below for orthogonal weights and a tanh-like φ there. With relu it grows, as a
            control; of other initializations and φ nothing is claimed.
    """

    AXES = ("init", "depth", "width")
    NEEDS = (
        "kernels of many draws (callbacks=kernel_fluctuation) of Gaussian weights, or of orthogonal ones with an "
        "activation that it claims something of"
    )

    def __init__(self, gaussian_above: float, orthogonal_below: float) -> None:
        self.gaussian_above = number("gaussian_above", gaussian_above, minimum=0)
        self.orthogonal_below = number("orthogonal_below", orthogonal_below, above=0)

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each draw."""
        rows = []
        for run in runs:
            if not (run.directory / NTK_DRAWS).exists():
                continue
            theta = read_tensors(run.directory / NTK_DRAWS)[0]["theta"].tolist()
            settings = run.settings() | {"depth_over_width": run.get("model.depth") / run.get("model.width")}
            rows += [settings | {"draw": draw, "theta": value} for draw, value in enumerate(theta)]
        return pd.DataFrame(rows)

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return of_each_panel(self.panels(table), self._judge, self.NEEDS)

    def _judge(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        deepest = part[part.depth_over_width == part.depth_over_width.max()]
        activation = str(part.activation.iloc[0]).lower()
        for (init, depth, width), own in deepest.groupby(["init", "depth", "width"]):
            at, same = f"{where} {init} L={depth} n={width}", part[part.init == init]
            interval = bootstrap(relative_variance, own.theta.to_numpy())
            reason = "the bounds lie far outside what two estimates of this heavy-tailed ratio differ by"
            if init == "gaussian":
                claim = "deep and narrow, the NTK of Gaussian weights fluctuates as much as it is large"
                yield difference(claim, at, "Var[Θ(x,x)]/E²", interval, self.gaussian_above, reason=reason)
                yield from self._growth("fluctuations of Gaussian weights grow with depth/width", at, own, same)
            elif init in ORTHOGONAL and activation in TANH_LIKE:
                claim = "deep and narrow, the NTK of orthogonal weights hardly fluctuates"
                yield below(claim, at, "Var[Θ(x,x)]/E²", interval, self.orthogonal_below, reason=reason)
            elif init in ORTHOGONAL and activation in CONTROLS:
                claim = (
                    "control: without a tanh-like φ, fluctuations of orthogonal weights grow with depth/width as well"
                )
                yield from self._growth(claim, at, own, same)

    def _growth(self, claim: str, at: str, deep: pd.DataFrame, part: pd.DataFrame) -> Iterator[Claim]:
        """Against the networks of the least L/n; of several, each by itself."""
        least = part[part.depth_over_width == part.depth_over_width.min()]
        for (depth, width), shallow in least.groupby(["depth", "width"]):
            if shallow.depth_over_width.iloc[0] < deep.depth_over_width.iloc[0]:
                yield difference(
                    claim,
                    f"{at} against L={depth} n={width}",
                    "Var[log Θ(x,x)], deepest − shallowest",
                    bootstrap(difference_of(log_variance), deep.theta.to_numpy(), shallow.theta.to_numpy()),
                    0.0,
                )

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        panels, colours = [], colours_of(table)
        for where, part in self.panels(table):
            for label, measure in MEASURES.items():
                series = [
                    found
                    for (init, width), own in part.groupby(["init", "width"], sort=True)
                    if (found := _with_bars(own, measure, colours[init], f"{init} n={width}")) is not None
                ]
                panels.append(Panel(where, Axis("depth/width L/n", "log"), Axis(label, "log"), series))
        return PanelFigure(panels, columns=2, intervals="95 % intervals over draws")


def _with_bars(table: pd.DataFrame, measure: Statistic, colour: str, name: str) -> Series | None:
    """The measure at each L/n; None if it is nothing but rounding everywhere."""
    points = [(x, bootstrap(measure, draws.theta.to_numpy())) for x, draws in by(table, "depth_over_width")]
    points = [(x, interval) for x, interval in points if interval.estimate > SMALLEST_DRAWN]
    if not points:
        return None
    y, low, high = ([getattr(interval, end) for _, interval in points] for end in ("estimate", "low", "high"))
    return Series(name, [x for x, _ in points], y, colour, marker="o", low=low, high=high, bars=True)
