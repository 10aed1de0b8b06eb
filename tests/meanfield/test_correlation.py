"""c*, ξ_c and the phase diagram."""

import math

import numpy as np
import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.kernels import infinite_kernels
from orthontk.meanfield import (
    CorrelationMap,
    chi_1,
    correlation_fixed_point,
    correlation_length,
    critical_bias_var,
    fixed_point,
    phase_diagram,
    plot_phase_diagram,
)
from orthontk.meanfield.__main__ import main
from orthontk.networks import FCN


def test_points_of_a_diagram_are_those_computed_alone():
    """The diagram shares one table of expectations over all its variances."""
    diagram = phase_diagram("tanh", [0.8, 2.5], [0.0, 0.05])
    for row, bias_var in enumerate(diagram.bias_vars):
        for column, weight_var in enumerate(diagram.weight_vars):
            alone = correlation_length("tanh", weight_var, bias_var)
            assert diagram.correlation_length[row, column] == pytest.approx(alone, rel=1e-8)


@pytest.mark.slow
def test_phase_diagram_from_the_command_line(tmp_path, capsys):
    main(["--activation", "erf", "--phase-diagram", str(tmp_path / "erf.png")])
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "erf.png"), str(tmp_path / "erf.csv")]
    assert (tmp_path / "erf.png").read_bytes().startswith(b"\x89PNG")
    table = np.genfromtxt(tmp_path / "erf.csv", delimiter=",", names=True)
    ordered = table["chi_1"] < 1
    assert ordered.any() and not ordered.all()
    point = table[ordered & (table["bias_var"] > 0)][0]
    assert point["q_star"] == pytest.approx(fixed_point("erf", point["weight_var"], point["bias_var"]), rel=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "erf", "gelu"])
def test_slope_is_the_derivative_of_the_map(activation):
    correlation_map = CorrelationMap(activation, 1.8, 0.1)
    difference = (correlation_map(0.5 + 1e-5) - correlation_map(0.5 - 1e-5)) / 2e-5
    assert correlation_map.slope(0.5) == pytest.approx(difference, rel=1e-8)
    assert correlation_map(1.0) == pytest.approx(1.0, rel=1e-10)


@pytest.mark.parametrize(
    ("activation", "weight_var", "bias_var"),
    [pytest.param("tanh", 4.0, 0.2, marks=pytest.mark.slow), ("erf", 3.0, 0.1)],
)
def test_deep_kernel_reaches_the_correlation_fixed_point(activation, weight_var, bias_var):
    c_star = correlation_fixed_point(activation, weight_var, bias_var)
    net = FCN(2, 1, 1, 150, activation, weight_var, bias_var)
    nngp = infinite_kernels(net, torch.tensor([[1.0, 0.2], [-0.4, 0.9]])).nngp
    assert 0.05 < c_star < 0.95
    assert float(nngp[0, 0]) == pytest.approx(fixed_point(activation, weight_var, bias_var), rel=1e-9)
    assert float(nngp[0, 1] / nngp[0, 0]) == pytest.approx(c_star, rel=1e-6)


def test_correlations_decay_at_the_predicted_length():
    """Deep in the network |c^l − c*| falls by exp(−1/ξ_c) a layer."""
    x = torch.tensor([[1.0, 0.2], [-0.4, 0.9]])
    distance = []
    for depth in (60, 61):
        nngp = infinite_kernels(FCN(2, 1, 1, depth, "tanh", 2.0, 0.3), x).nngp
        distance.append(abs(float(nngp[0, 1] / nngp[0, 0]) - correlation_fixed_point("tanh", 2.0, 0.3)))
    assert -1 / math.log(distance[1] / distance[0]) == pytest.approx(correlation_length("tanh", 2.0, 0.3), rel=1e-3)


def test_order_and_criticality():
    assert correlation_fixed_point("tanh", 1.0, 0.1) == 1.0
    assert correlation_length("tanh", 1.5, critical_bias_var("tanh", 1.5)) > 1e6
    assert correlation_length("tanh", 0.5, 0.0) == pytest.approx(-1 / math.log(0.5))  # q* = 0, χ₁ = σ_w²
    with pytest.raises(InvalidValue, match="shrink to 0"):
        correlation_fixed_point("tanh", 0.5, 0.0)


@pytest.mark.slow
def test_phase_diagram_changes_sides_on_the_critical_line():
    weight_vars, bias_vars = np.linspace(0.8, 4, 9), np.linspace(0, 1, 6)
    diagram = phase_diagram("tanh", weight_vars, bias_vars)
    assert diagram.q_star.shape == (6, 9)
    for w, weight_var in enumerate(weight_vars):
        expected = bias_vars < critical_bias_var("tanh", weight_var) if weight_var > 1 else np.zeros(6, bool)
        assert ((diagram.chi_1[:, w] > 1) == expected).all()
    assert diagram.chi_1[3, 4] == pytest.approx(chi_1("tanh", weight_vars[4], diagram.q_star[3, 4]))
    assert len(plot_phase_diagram(diagram).axes) == 2


@pytest.mark.slow
def test_every_critical_point_is_drawn():
    """Of gelu two at one σ_w², of which the folded line has one above the other; of relu one alone."""
    grids = {"tanh": ([0.5, 4], [0, 0.3]), "gelu": ([1.95, 1.98], [0, 1.2]), "relu": ([1.5, 2.5], [0, 0.1])}
    lines = {phi: plot_phase_diagram(phase_diagram(phi, *grid)).axes[0].lines[0] for phi, grid in grids.items()}
    assert {line.get_label() for line in lines.values()} == {"$\\chi_1 = 1$"}
    assert lines["relu"].get_xydata().tolist() == [[2, 0]] and lines["relu"].get_marker() == "o"
    weight_vars, bias_vars = lines["gelu"].get_xydata().T
    at = np.abs(weight_vars - 1.965) < 4e-3
    assert bias_vars[at].min() < 0.25 and bias_vars[at].max() > 0.55
    between = plot_phase_diagram(phase_diagram("tanh", [1.485, 1.52], [0, 0.1])).axes[0].lines[0]
    weight_vars, bias_vars = between.get_xydata().T
    assert between.get_label() == "$\\chi_1 = 1$" and ((weight_vars > 1.485) & (weight_vars < 1.52)).sum() > 10
    elsewhere = plot_phase_diagram(phase_diagram("tanh", [0.5, 0.8], [0, 0.3]))
    assert "$\\chi_1 = 1$" not in elsewhere.axes[0].get_legend_handles_labels()[1]


def test_contours_beside_criticality_are_where_the_lengths_are():
    """At σ_w² = 1.2 ξ_c is 217 layers for σ_b² = 0 and 11 for 0.02: 30 is nearer to 0."""
    figure = plot_phase_diagram(phase_diagram("tanh", [1.1, 1.2, 1.3], [0, 0.02]))
    of_30_layers = figure.axes[0].collections[-1].get_paths()[0].vertices
    assert correlation_length("tanh", 1.2, 0.006) > 25
    assert of_30_layers[np.abs(of_30_layers[:, 0] - 1.2).argmin(), 1] < 0.01


def test_phase_diagram_is_empty_where_lengths_diverge():
    diagram = phase_diagram("relu", [1.0, 2.5], [0.1])
    assert np.isnan(diagram.chi_1).tolist() == [[False, True]]
