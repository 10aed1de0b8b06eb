"""Claim 5: fluctuations of the NTK grow with depth/width for Gaussian weights and not for orthogonal ones with tanh."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from orthontk.callbacks.kernel_fluctuation import FILE
from orthontk.figures.style import new_figure, save
from orthontk.report.claims import Claim, below, difference
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap, log_variance, relative_variance
from orthontk.studies.curves import COLOURS, log_axes
from orthontk.studies.study import Study, by
from orthontk.tensor_files import read_tensors

MEASURES = {"Var[Θ]/E[Θ]²": relative_variance, "Var[log Θ]": log_variance}
SMALLEST_DRAWN = 1e-8  # below it is rounding: a linear orthogonal network does not fluctuate at all


class DepthFluctuation(Study):
    """Var[Θ(x,x)]/E[Θ(x,x)]² and Var[log Θ(x,x)] over draws, against L/n.

    Args:
        gaussian_above: what Var/E² exceeds for Gaussian weights at the largest L/n.
        orthogonal_below: what it stays below for the others there.
    """

    def __init__(self, gaussian_above: float, orthogonal_below: float) -> None:
        self.gaussian_above, self.orthogonal_below = gaussian_above, orthogonal_below

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each draw."""
        rows = []
        for run in runs:
            theta = read_tensors(run.directory / FILE)[0]["theta"].tolist()
            settings = run.settings() | {"depth_over_width": run.get("model.depth") / run.get("model.width")}
            rows += [settings | {"draw": draw, "theta": value} for draw, value in enumerate(theta)]
        return pd.DataFrame(rows)

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return [claim for where, part in self.panels(table) for claim in self._judge(where, part)]

    def _judge(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        deepest = part[part.depth_over_width == part.depth_over_width.max()]
        shallowest = part[part.depth_over_width == part.depth_over_width.min()]
        for init, own in by(deepest, "init"):
            at = f"{where} {init} L={own.depth.iloc[0]} n={own.width.iloc[0]}"
            interval = bootstrap(relative_variance, own.theta.to_numpy())
            reason = "the bounds lie far outside what two estimates of this heavy-tailed ratio differ by"
            if init == "gaussian":
                claim = "deep and narrow, the NTK of Gaussian weights fluctuates as much as it is large"
                yield difference(claim, at, "Var[Θ(x,x)]/E²", interval, self.gaussian_above, reason=reason)
            else:
                claim = "the NTK of orthogonal weights hardly fluctuates at any depth"
                yield below(claim, at, "Var[Θ(x,x)]/E²", interval, self.orthogonal_below, reason=reason)
            first = shallowest[shallowest.init == init].theta.to_numpy()
            if init == "gaussian" and own.depth.iloc[0] != shallowest.depth.iloc[0] and len(first):
                yield difference(
                    "fluctuations of Gaussian weights grow with depth/width",
                    f"{at} against L={shallowest.depth.iloc[0]}",
                    "Var[log Θ(x,x)], deepest − shallowest",
                    bootstrap(_increase, own.theta.to_numpy(), first),
                    0.0,
                )

    def draw(self, table: pd.DataFrame, path: Path, title: str) -> None:
        panels = list(self.panels(table))
        figure, all_axes = new_figure(columns=2, rows=len(panels))
        for row, (where, part) in enumerate(panels):
            for axes, (label, measure) in zip(all_axes[2 * row : 2 * row + 2], MEASURES.items(), strict=True):
                for (init, width), own in part.groupby(["init", "width"], sort=True):
                    points = [
                        (x, bootstrap(measure, draws.theta.to_numpy())) for x, draws in by(own, "depth_over_width")
                    ]
                    points = [(x, i) for x, i in points if i.estimate > SMALLEST_DRAWN]
                    x, y = [x for x, _ in points], [i.estimate for _, i in points]
                    spread = np.array([[i.estimate - i.low, i.high - i.estimate] for _, i in points]).T.clip(min=0)
                    if points:
                        axes.errorbar(
                            x, y, spread, fmt="o-", markersize=3, color=COLOURS[init], label=f"{init} n={width}"
                        )
                log_axes(axes, "depth/width L/n", label, where)
        all_axes[0].legend(fontsize=7)
        figure.suptitle(title, fontsize=9)
        save(figure, path)


def _increase(deep: np.ndarray, shallow: np.ndarray, axis: int = -1) -> np.ndarray:
    return log_variance(deep, axis) - log_variance(shallow, axis)
