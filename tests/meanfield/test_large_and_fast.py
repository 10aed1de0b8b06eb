"""Activations that grow exponentially, and large variances: the moments are known."""

import math

import pytest
import torch
from scipy.special import lambertw

from elementwise import Elementwise
from orthontk.checks import InvalidValue
from orthontk.meanfield import chi_1, fixed_point, length_map, length_map_slope, predicted_spectrum
from orthontk.networks import FCN


@pytest.mark.parametrize("q", [0.1, 2.6, 9.0, 60.0])
def test_moments_of_exponentials(q):
    """E[exp(u)²] = e^{2q}, E[sinh²] = (e^{2q} − 1)/2, E[cosh²] = (e^{2q} + 1)/2."""
    large = math.exp(2 * q)
    assert float(length_map(Elementwise(torch.exp), 1.5, 0.1, q)) == pytest.approx(1.5 * large + 0.1, rel=1e-12)
    assert float(length_map(Elementwise(torch.sinh), 1.0, 0.0, q)) == pytest.approx((large - 1) / 2, rel=1e-12)
    assert chi_1(Elementwise(torch.sinh), 1.0, q) == pytest.approx((large + 1) / 2, rel=1e-12)
    assert chi_1(Elementwise(torch.exp), 1.0, q) == pytest.approx(large, rel=1e-12)
    assert float(length_map_slope(Elementwise(torch.exp), 1.0, q)) == pytest.approx(2 * large, rel=1e-12)


def test_fixed_point_of_exp():
    """q = σ_w² e^{2q} at −W(−2σ_w²)/2."""
    assert fixed_point(Elementwise(torch.exp), 0.18, 0.0) == pytest.approx(-lambertw(-0.36).real / 2, rel=1e-12)


def test_spectrum_of_exp():
    """μ₁ = e^{2q} and μ₂ = e^{8q}, so one Gaussian layer's relative variance is e^{4q}."""
    x = torch.tensor([2.0, 2.0])  # q = 4
    spectrum = predicted_spectrum(FCN(2, 1, 8, 3, Elementwise(torch.exp), 1.0, 0.0), x)
    assert spectrum.mean == pytest.approx(math.exp(8), rel=1e-12)
    assert spectrum.relative_variance == pytest.approx(math.exp(16), rel=1e-9)


@pytest.mark.parametrize("q", [100.0, 1e4, 1e8, math.inf])
def test_what_rests_on_the_far_tail_is_refused(q):
    for moment in (length_map, chi_1):
        arguments = (1.0, 0.0, q) if moment is length_map else (1.0, min(q, 1e300))
        with pytest.raises(InvalidValue, match="activation=Elementwise: expected one that grows more slowly"):
            moment(Elementwise(torch.exp), *arguments)


@pytest.mark.parametrize("q", [1e8, 1e12, 1e20])
def test_large_variances(q):
    """∫ sech⁴ = 4/3 and ∫ (1 − tanh²) = 2 over the density at 0; relu and its slope are exact."""
    density = 1 / math.sqrt(2 * math.pi * q)
    assert chi_1("tanh", 1.0, q) == pytest.approx(4 / 3 * density, rel=1e-7)
    assert 1 - float(length_map("tanh", 1.0, 0.0, q)) == pytest.approx(2 * density, rel=1e-7, abs=1e-12)
    assert float(length_map("relu", 2.0, 0.0, q)) == pytest.approx(q, rel=1e-12)
    assert chi_1("relu", 2.0, q) == pytest.approx(1, rel=1e-12)


def test_what_never_settles_is_refused_at_large_variances():
    """E[sin²] = (1 − e^{−2q})/2."""
    assert float(length_map(Elementwise(torch.sin), 1.0, 0.0, 1e3)) == pytest.approx(0.5, rel=1e-12)
    with pytest.raises(InvalidValue, match=r"at most 10000, not 1e\+06"):
        length_map(Elementwise(torch.sin), 1.0, 0.0, 1e6)
