"""q*, χ₁ and the critical line against hand-worked values."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels.infinite.gaussian import SCAN
from orthontk.meanfield import (
    Activation,
    chi_1,
    critical_bias_var,
    critical_point,
    expectation,
    fixed_point,
    length_map,
    length_map_slope,
)

variances = st.floats(-6, 3).map(lambda exponent: 10**exponent)


@given(q=variances)
def test_erf_moments_match_the_arcsine_law(q):
    """E[erf(√q z)²] = (2/π) asin(2q/(1+2q)) and E[erf'(√q z)²] = (4/π)/√(1+4q) (Williams 1997)."""
    assert float(expectation(lambda u: torch.erf(u) ** 2, q)) == pytest.approx(
        2 / math.pi * math.asin(2 * q / (1 + 2 * q)), rel=1e-12
    )
    assert chi_1("erf", 1.0, q) == pytest.approx(4 / math.pi / math.sqrt(1 + 4 * q), rel=1e-12)


@given(q=variances)
def test_hardtanh_slope_is_the_mass_between_its_kinks(q):
    assert chi_1("Hardtanh", 1.0, q) == pytest.approx(math.erf(1 / math.sqrt(2 * q)), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "kinks"),
    [("relu", [0]), ("Hardtanh", [-1, 1]), ("ReLU6", [0, 6]), ("ELU", [0]), ("tanh", []), ("gelu", [])],
)
def test_kinks_are_found(name, kinks):
    assert Activation(name).kinks.tolist() == pytest.approx(kinks, abs=1e-9)


def test_tanh_at_pennington_setting():
    assert critical_bias_var("tanh", 1.05) == pytest.approx(2.0105e-5, rel=3e-5)
    assert fixed_point("tanh", 1.05, 2.0105e-5) == pytest.approx(0.02592, abs=5e-6)


@pytest.mark.parametrize("q_star", [0.7, 1.0])  # the second is one of the values where a crossing is looked for
@pytest.mark.parametrize("activation", ["tanh", "erf", "Hardtanh", "ELU"])
def test_critical_point_is_critical_and_fixed(activation, q_star):
    weight_var, bias_var = critical_point(activation, q_star)
    assert fixed_point(activation, weight_var, bias_var) == pytest.approx(q_star, rel=1e-9)
    assert chi_1(activation, weight_var, q_star) == pytest.approx(1, rel=1e-12)
    assert critical_bias_var(activation, weight_var) == pytest.approx(bias_var, rel=1e-8)


@pytest.mark.parametrize("q_star", [1e-4, 1e-6, 2e-8, 1e-10, 1e-12, 1e-13])
def test_small_fixed_points_have_the_bias_of_the_series(q_star):
    """σ_b² = (4/3)q³ − 8q⁴ + … for tanh, q² + … for u/(1 + |u|)."""
    assert critical_point("tanh", q_star)[1] / (4 / 3 * q_star**3) == pytest.approx(1, rel=1e-3)
    assert critical_point("Softsign", q_star)[1] / q_star**2 == pytest.approx(1, rel=4 * math.sqrt(q_star))


@pytest.mark.parametrize("q_star", [1e-6, 2e-8])
def test_small_variances_lead_there_and_back(q_star):
    weight_var, bias_var = critical_point("tanh", q_star)
    assert critical_bias_var("tanh", weight_var) / bias_var == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("activation", ["tanh", "gelu", "ELU", nn.SiLU()])
def test_slope_of_the_length_map_is_its_derivative(activation):
    q, h = 0.8, 1e-5
    difference = length_map(activation, 1.3, 0.1, q + h) - length_map(activation, 1.3, 0.1, q - h)
    assert float(length_map_slope(activation, 1.3, q)) == pytest.approx(float(difference) / (2 * h), rel=1e-8)


def test_relu_fixed_point_by_hand():
    """q = σ_w² q/2 + σ_b² gives q* = σ_b²/(1 − σ_w²/2)."""
    assert fixed_point("relu", 1.5, 0.1) == pytest.approx(0.4, rel=1e-12)
    assert critical_point("leaky_relu", 3.0) == (pytest.approx(2 / (1 + 0.01**2)), 0.0)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "ELU", "tanh", "ReLU6", "Hardtanh"])
def test_the_slope_at_length_0_is_the_limit_of_small_lengths(activation):
    assert chi_1(activation, 1.9, 0.0) == pytest.approx(chi_1(activation, 1.9, 1e-14), rel=1e-6)


def test_zero_is_the_fixed_point_of_the_ordered_phase_without_bias():
    assert fixed_point("tanh", 1.0, 0.0) == 0.0
    assert 0 < fixed_point("tanh", 1.0001, 0.0) < 1e-3


@pytest.mark.parametrize(
    ("activation", "weight_var", "bias_var"), [("relu", 2.0, 0.0), ("relu", 2.0, 0.1), ("gelu", 3, 1)]
)
def test_no_stable_fixed_point_is_refused(activation, weight_var, bias_var):
    with pytest.raises(InvalidValue, match="stable fixed point"):
        fixed_point(activation, weight_var, bias_var)


def test_critical_lengths_may_be_among_those_that_are_scanned():
    """There χ₁ − 1 is zero but for its rounding, whose sign differs between the scan and single evaluations."""
    for q_star in SCAN[30::4].tolist():
        weight_var, bias_var = critical_point("tanh", q_star)
        assert critical_bias_var("tanh", weight_var) == pytest.approx(bias_var, rel=1e-6)


def test_unstable_or_impossible_critical_points_are_refused():
    with pytest.raises(InvalidValue, match="stable fixed point of the length map"):
        critical_point("gelu", 0.1)
    with pytest.raises(InvalidValue, match="bias_var ≥ 0"):
        critical_point("Sigmoid", 1.0)
    with pytest.raises(InvalidValue, match=r"q_star=1e-14: .*rounding"):
        critical_point("tanh", 1e-14)
    with pytest.raises(InvalidValue, match="only critical value"):
        critical_bias_var("relu", 1.5)
    with pytest.raises(InvalidValue, match="passes"):
        critical_bias_var("tanh", 0.9)


def test_no_point_is_critical_at_lengths_that_an_activation_maps_to_0():
    with pytest.raises(InvalidValue, match=r"^q_star=1e-06: expected a length at which the activation is not flat"):
        critical_point("Softshrink", 1e-6)


def test_trainable_activations_are_refused():
    with pytest.raises(InvalidValue, match="trainable"):
        Activation(nn.PReLU())


def test_zero_variance_is_the_value_at_zero():
    assert expectation(torch.sigmoid, torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.5, 0.5])


def test_a_fixed_point_is_not_denied_beyond_where_it_is_looked_for():
    with pytest.raises(InvalidValue, match=r"weight_var=1.0: .* stable fixed point up to 1e\+08 \(bias_var=1e\+09\)"):
        fixed_point("tanh", 1.0, 1e9)
