"""The phase diagram over (σ_w², σ_b²): order where χ₁ < 1, chaos where χ₁ > 1."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn
from tqdm import tqdm

from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.duals import Dual, make_dual
from orthontk.kernels.infinite.gaussian import Activation, as_activation
from orthontk.meanfield.correlation import correlation_length
from orthontk.meanfield.critical import chi_1, critical_point
from orthontk.meanfield.fixed_point import fixed_point

CRITICAL_LENGTHS = np.logspace(-6, 4, 201).tolist()  # q* of points along the critical line
FINER = 60  # points between these, where the line passes the grid
LENGTHS = (1, 3, 10, 30)  # correlation lengths drawn, in layers
GREYS = ("0.75", "0.6", "0.45", "0.25")


class PhaseDiagram(NamedTuple):
    """Fields over σ_b² (rows, B) and σ_w² (columns, W); NaN where lengths have no stable fixed point."""

    weight_vars: np.ndarray  # (W,)
    bias_vars: np.ndarray  # (B,)
    q_star: np.ndarray  # (B, W)
    chi_1: np.ndarray  # (B, W)
    correlation_length: np.ndarray  # (B, W), in layers
    critical_points: np.ndarray  # (P, 2), σ_w² and σ_b² along the critical line; NaN where it has a gap


def phase_diagram(
    activation: str | nn.Module, weight_vars: Sequence[float], bias_vars: Sequence[float], *, progress: bool = False
) -> PhaseDiagram:
    """q*, χ₁, ξ_c and the critical line on a grid; `progress` shows a bar.

    >>> diagram = phase_diagram("tanh", [0.9, 1.5, 3.0], [0.0, 0.1])
    >>> (diagram.chi_1 < 1).tolist()
    [[True, False, False], [True, True, False]]
    """
    phi = as_activation(activation)
    q_star = np.array([[_fixed_point(phi, w, b) for w in weight_vars] for b in bias_vars])  # (B, W)
    positive = torch.from_numpy(q_star[q_star > 0])
    dual = make_dual(phi, positive) if len(positive) else None  # one for the whole grid
    points = tqdm(zip(bias_vars, q_star, strict=True), desc="bias variances", total=len(q_star), disable=not progress)
    fields = np.array(  # (B, W, 2)
        [[_fields(phi, w, b, q, dual) for w, q in zip(weight_vars, row, strict=True)] for b, row in points]
    )
    axes = np.asarray(weight_vars), np.asarray(bias_vars)
    return PhaseDiagram(*axes, q_star, fields[..., 0], fields[..., 1], _critical_points(phi, *axes))


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


def _critical_points(phi: Activation, weight_vars: np.ndarray, bias_vars: np.ndarray) -> np.ndarray:
    """By q*, as one σ_w² may have several critical σ_b² (gelu); close together where the line passes the grid."""
    if phi.is_homogeneous:
        return np.array([_critical_point(phi, 1.0)])
    lengths = CRITICAL_LENGTHS
    shown = _meets_grid(np.array([_critical_point(phi, q) for q in lengths]), weight_vars, bias_vars)
    finer = [np.geomspace(lengths[i], lengths[i + 1], 2 + FINER // shown.sum()) for i in np.flatnonzero(shown)]
    return np.array([_critical_point(phi, q) for q in np.unique(np.concatenate([lengths, *finer]))])


def _meets_grid(points: np.ndarray, weight_vars: np.ndarray, bias_vars: np.ndarray) -> np.ndarray:
    """Whether each stretch between neighbouring points may pass through the grid: the boxes around both overlap."""
    low, high = np.minimum(points[:-1], points[1:]), np.maximum(points[:-1], points[1:])
    grid = np.stack([weight_vars[[0, -1]], bias_vars[[0, -1]]])  # sorted, as meshes are
    return ((high >= grid.min(1)) & (low <= grid.max(1))).all(1)


def _critical_point(phi: Activation, q_star: float) -> tuple[float, float]:
    try:
        return critical_point(phi, q_star)
    except InvalidValue:
        return np.nan, np.nan


def plot_phase_diagram(diagram: PhaseDiagram) -> Figure:
    """χ₁ as colour (white is critical), the critical line, and contours of ξ_c in layers."""
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    image = axes.pcolormesh(
        diagram.weight_vars, diagram.bias_vars, diagram.chi_1, cmap="RdBu_r", vmin=0, vmax=2, shading="nearest"
    )
    _draw_critical_points(axes, diagram)
    rates = 1 / diagram.correlation_length  # 0 at criticality, beside which lengths are too steep to interpolate
    levels = [1 / length for length in reversed(LENGTHS)]
    axes.contour(diagram.weight_vars, diagram.bias_vars, rates, levels, colors=GREYS[::-1], linewidths=0.9)
    for length, grey in zip(LENGTHS, GREYS, strict=True):  # named in the legend: labels on both branches crowd
        if (rates >= 1 / length).any() and (rates <= 1 / length).any():
            axes.plot([], [], color=grey, linewidth=0.9, label=f"$\\xi_c$ = {length}")
    figure.colorbar(image, label="$\\chi_1$")
    axes.set(xlabel="weight variance $\\sigma_w^2$", ylabel="bias variance $\\sigma_b^2$")
    axes.set_xlim(min(diagram.weight_vars), max(diagram.weight_vars))
    axes.set_ylim(min(diagram.bias_vars), max(diagram.bias_vars))
    figure.legend(loc="outside lower center", ncols=5, fontsize="small", handlelength=1.5)
    return figure


def _draw_critical_points(axes: Axes, diagram: PhaseDiagram) -> None:
    """The critical line, or the only critical point; nothing where none of it is in the diagram."""
    points = diagram.critical_points
    single = len(points) == 1
    stretches = np.repeat(points, 2, axis=0) if single else points
    if _meets_grid(stretches, diagram.weight_vars, diagram.bias_vars).any():
        style = {"marker": "o", "linestyle": "none", "clip_on": False} if single else {}
        axes.plot(*points.T, color="black", label="$\\chi_1 = 1$", **style)
