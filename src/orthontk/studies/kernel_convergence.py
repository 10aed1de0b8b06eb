"""Claim 1: the kernels of either initialization converge to the infinite-width one as 1/√n; Fig. 1."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from orthontk.checks import integer, number
from orthontk.figures.panels import Axis, Line, Panel, PanelFigure, Series, axis_of_settings
from orthontk.figures.style import GREY
from orthontk.report.claims import Claim, below, difference, not_judged, sameness
from orthontk.report.gather import Run
from orthontk.report.statistics import bootstrap, log_slope
from orthontk.run.directory import KERNEL_DRAWS
from orthontk.studies.curves import INTERVALS, colours_of, mean_curve
from orthontk.studies.study import Study, by, samples
from orthontk.tensor_files import read_tensors

KERNELS = {"nngp": "NNGP", "ntk": "NTK"}


class KernelConvergence(Study):
    """Slopes of the error in n, and the distance between the kernels' mean over draws and the limit.

    The squared distance of the mean is estimated without bias by inner products of the errors of different draws, one
    for each pair of draws, which are independent.

    Args:
        slope, slope_margin: what the slope of log error in log n is expected to be, and how far it may be from it.
        bias_margin: how far, relative to ‖K∞‖, the mean kernel of the widest networks may be from the limit.
        largest_width: of the slopes.
    """

    PANEL = ("family", "activation", "depth", "init", "kernel")
    AXES = ("width",)
    NEEDS = "kernels of several draws at three widths (callbacks=kernel_convergence)"

    def __init__(self, slope: float, slope_margin: float, bias_margin: float, largest_width: int) -> None:
        self.slope, self.slope_margin = number("slope", slope), number("slope_margin", slope_margin, above=0)
        self.bias_margin = number("bias_margin", bias_margin, above=0)
        self.largest_width = integer("largest_width", largest_width)

    def table(self, runs: Sequence[Run]) -> pd.DataFrame:
        """A row for each draw and each mean of M draws; `product` and `product_gaussian` belong to pairs of draws."""
        return pd.DataFrame([row for run in runs for row in _rows(run)])

    def claims(self, table: pd.DataFrame) -> list[Claim]:
        return [claim for where, part in self.panels(table) for claim in self._judge(where, part)]

    def _judge(self, where: str, part: pd.DataFrame) -> Iterator[Claim]:
        single = part[part.averaged == 1]
        widths, errors = samples(single[single.width <= self.largest_width], "error")
        falls = "the distance to the infinite-width kernel falls as 1/√n"
        if len(widths) < 3:
            yield not_judged(falls, where, f"three widths of at most {self.largest_width}, has {len(widths)}")
        else:
            yield sameness(
                falls,
                where,
                f"slope of log error in log n, n = {widths[0]:g}…{widths[-1]:g}",
                bootstrap(log_slope(widths), *errors),
                self.slope_margin,
                around=self.slope,
                reason="√n₀ bends the orthogonal slope near n = n₀; further off it is another power",
            )
        widest = single[single.width == single.width.max()]
        at = f"{where} n={widest.width.iloc[0]}"
        own = bootstrap(np.mean, widest["product"].dropna())
        yield below(
            "the mean over draws is the infinite-width kernel of this initialization",
            at,
            "‖E K̂−K∞‖²/‖K∞‖²",
            own,
            self.bias_margin**2,
            reason=f"{self.bias_margin:g} of ‖K∞‖",
        )
        if (widest.init == "delta_orthogonal").all() and (widest.kernel == "ntk").all():
            yield difference(
                "delta-orthogonal convolutions have another infinite-width NTK than Gaussian ones",
                at,
                "‖E K̂−K∞(Gaussian)‖²/‖K∞(Gaussian)‖²",
                bootstrap(np.mean, widest["product_gaussian"].dropna()),
                self.bias_margin**2,
                reason="more than what counts as the same",
            )

    def figure(self, table: pd.DataFrame) -> PanelFigure:
        colours = colours_of(table)
        panels = [
            self._panel(f"{where}, {KERNELS[kernel]}", KERNELS[kernel], own, colours)
            for where, part in self.panels(table, "init", "kernel")
            for kernel, own in part.groupby("kernel", sort=False)
        ]
        return PanelFigure(panels, columns=2, intervals=INTERVALS)

    def _panel(self, title: str, kernel: str, part: pd.DataFrame, colours: dict[str, str]) -> Panel:
        series = []
        for init, own in by(part, "init"):
            lines: dict[int, Line] = {own.averaged.max(): ":", 1: "-"}  # a single draw is a mean of itself
            for averaged, line in lines.items():
                name = f"{init}, mean of {averaged:g} draws" if averaged > 1 else init
                series.append(mean_curve(own[own.averaged == averaged], "width", "error", colours[init], name, line))
        widths = np.array(sorted(part.width.unique()))
        first = part[(part.averaged == 1) & (part.width == widths[0])].error.mean()
        series.append(Series("slope −½", widths, first * (widths / widths[0]) ** -0.5, GREY, width=0.8))
        y = Axis(f"‖K̂−K∞‖ / ‖K∞‖, {kernel}", "log")
        return Panel(title, axis_of_settings("width n", widths), y, series)

    def comparison(self, table: pd.DataFrame) -> list[dict[str, Any]]:
        """The slopes of the authors' FCN beside what is expected of draws over their range of widths."""
        expected, rows = {"gaussian": -0.50, "orthogonal": -0.545}, []
        single = table[(table.family == "FCN") & (table.activation == "relu") & (table.depth == 2)]
        single = single[(single.data == "gaussian") & (single.averaged == 1)]
        for where, part in self.parts(single, "activation", "depth", "kernel", "init"):
            (widths, errors), init = samples(part, "error"), part.init.iloc[0]
            if len(widths) > 2 and init in expected:
                interval = bootstrap(log_slope(widths), *errors)
                quantity = f"slope {where}, n = {widths[0]:g}…{widths[-1]:g} (authors 8…4096)"
                rows.append({"quantity": quantity, "expected": expected[init], **interval._asdict()})
        return rows


def _rows(run: Run) -> Iterator[dict[str, Any]]:
    """None of a run that measured no draws."""
    if not (run.directory / KERNEL_DRAWS).exists():
        return
    tensors, _ = read_tensors(run.directory / KERNEL_DRAWS)
    for kernel in KERNELS:
        draws, limit, gaussian = (tensors[name].double() for name in (kernel, f"{kernel}_limit", f"{kernel}_gaussian"))
        products, to_gaussian = _products(draws, limit), _products(draws, gaussian)
        averaged = 1
        while averaged <= len(draws):
            means = draws[: len(draws) // averaged * averaged].unflatten(0, (-1, averaged)).mean(1)
            errors = torch.linalg.matrix_norm(means - limit) / torch.linalg.matrix_norm(limit)
            for i, error in enumerate(errors.tolist()):
                row = run.settings() | {"kernel": kernel, "averaged": averaged, "draw": i, "error": error}
                paired = averaged == 1 and i < len(products)
                row["product"] = products[i].item() if paired else np.nan
                row["product_gaussian"] = to_gaussian[i].item() if paired else np.nan
                yield row
            averaged *= 2


def _products(draws: Tensor, limit: Tensor) -> Tensor:  # (M, N, N), (N, N) -> (⌊M/2⌋,)
    """⟨K̂ᵢ−K∞, K̂ⱼ−K∞⟩/‖K∞‖² over disjoint pairs of draws: unbiased estimates of ‖E K̂−K∞‖²/‖K∞‖²."""
    half = len(draws) // 2
    errors = (draws - limit).flatten(1) / torch.linalg.matrix_norm(limit)
    return (errors[:half] * errors[half : 2 * half]).sum(1)
