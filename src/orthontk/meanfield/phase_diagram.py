"""The phase diagram over (σ_w², σ_b²): order where χ₁ < 1, chaos where χ₁ > 1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.duals import Dual, make_dual
from orthontk.kernels.infinite.gaussian import Activation, as_activation
from orthontk.meanfield.correlation import correlation_length
from orthontk.meanfield.critical import chi_1, critical_bias_var
from orthontk.meanfield.fixed_point import fixed_point

LENGTHS = (1, 3, 10, 30)  # correlation lengths drawn, in layers
GREYS = ("0.75", "0.6", "0.45", "0.25")


class PhaseDiagram(NamedTuple):
    """Fields over σ_b² (rows, B) and σ_w² (columns, W); NaN where lengths have no stable fixed point."""

    weight_vars: np.ndarray  # (W,)
    bias_vars: np.ndarray  # (B,)
    q_star: np.ndarray  # (B, W)
    chi_1: np.ndarray  # (B, W)
    correlation_length: np.ndarray  # (B, W), in layers
    critical_bias_var: np.ndarray  # (W,), NaN where the critical line does not pass


def phase_diagram(
    activation: str | nn.Module, weight_vars: Sequence[float], bias_vars: Sequence[float]
) -> PhaseDiagram:
    """q*, χ₁, ξ_c and the critical line on a grid.

    >>> diagram = phase_diagram("tanh", [0.9, 1.5, 3.0], [0.0, 0.1])
    >>> (diagram.chi_1 < 1).tolist()
    [[True, False, False], [True, True, False]]
    """
    phi = as_activation(activation)
    q_star = np.array([[_fixed_point(phi, w, b) for w in weight_vars] for b in bias_vars])  # (B, W)
    positive = torch.from_numpy(q_star[q_star > 0])
    dual = make_dual(phi, positive) if len(positive) else None  # one for the whole grid
    grid = [
        [(w, b, q) for w, q in zip(weight_vars, row, strict=True)] for b, row in zip(bias_vars, q_star, strict=True)
    ]
    fields = np.array([[_fields(phi, *point, dual) for point in row] for row in grid])  # (B, W, 2)
    line = np.array([_line(phi, w) for w in weight_vars])
    return PhaseDiagram(np.asarray(weight_vars), np.asarray(bias_vars), q_star, fields[..., 0], fields[..., 1], line)


def _fixed_point(phi: Activation, weight_var: float, bias_var: float) -> float:
    try:
        return fixed_point(phi, weight_var, bias_var)
    except InvalidValue:
        return np.nan


def _fields(
    phi: Activation, weight_var: float, bias_var: float, q_star: float, dual: Dual | None
) -> tuple[float, float]:
    """χ₁ and ξ_c."""
    if np.isnan(q_star):
        return np.nan, np.nan
    return chi_1(phi, weight_var, q_star), correlation_length(phi, weight_var, bias_var, dual)


def _line(phi: Activation, weight_var: float) -> float:
    try:
        return critical_bias_var(phi, weight_var)
    except InvalidValue:
        return np.nan


def plot_phase_diagram(diagram: PhaseDiagram) -> Figure:
    """χ₁ as colour (white is critical), the critical line, and contours of ξ_c in layers."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    image = axes.pcolormesh(
        diagram.weight_vars, diagram.bias_vars, diagram.chi_1, cmap="RdBu_r", vmin=0, vmax=2, shading="nearest"
    )
    axes.plot(diagram.weight_vars, diagram.critical_bias_var, color="black", label="$\\chi_1 = 1$")
    lengths = np.where(np.isfinite(diagram.correlation_length), diagram.correlation_length, np.nan)
    axes.contour(diagram.weight_vars, diagram.bias_vars, lengths, levels=LENGTHS, colors=GREYS, linewidths=0.9)
    for length, grey in zip(LENGTHS, GREYS, strict=True):  # named in the legend: labels on both branches crowd
        axes.plot([], [], color=grey, linewidth=0.9, label=f"$\\xi_c$ = {length}")
    figure.colorbar(image, label="$\\chi_1$")
    axes.set(xlabel="weight variance $\\sigma_w^2$", ylabel="bias variance $\\sigma_b^2$")
    axes.set_ylim(min(diagram.bias_vars), max(diagram.bias_vars))
    figure.legend(loc="outside lower center", ncols=5, fontsize="small", handlelength=1.5)
    return figure
