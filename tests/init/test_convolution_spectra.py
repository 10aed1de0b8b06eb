"""Singular values of linear convolutions: delta-orthogonal ones are isometries, no others are.

With circular padding a convolution is diagonal in Fourier space: at frequency ω it is the n_out × n_in matrix
A(ω) = s_w Σ_β W(β) exp(iω·β), and the layer's singular values are those of all A(ω). For weight_var=1 and n_in = n_out
their mean square is 1, so the relative variance of λ = (singular value)² is E λ² − 1.
"""

import itertools
import math

import pytest
import torch
from factors import generator, inputs

from orthontk.init import initialize
from orthontk.networks import CNN, Conv

SIDE = 7  # odd, so that 2(β−β') = 0 on the torus for β = β' alone, which the finite-n corrections below rely on


def squared_singular_values(conv, side):
    """λ of a circular convolution on side × side positions, by FFT over positions; (side, side, min(n_out, n_in))."""
    kernel = torch.zeros(*conv.weight.shape[:2], side, side, dtype=torch.float64)
    kernel[:, :, : conv.kernel_size, : conv.kernel_size] = conv.weight_scale * conv.weight.detach()
    return torch.linalg.svdvals(torch.fft.fft2(kernel).permute(2, 3, 0, 1)).square()


@pytest.mark.parametrize("scheme", ["gaussian", "orthogonal", "flat_orthogonal", "delta_orthogonal"])
def test_the_fft_gives_the_singular_values_of_the_layer_itself(scheme):
    conv = initialize(Conv(2, 3).double(), scheme, generator())
    jacobian = torch.autograd.functional.jacobian(conv, inputs(1, 2, 5, 5)).reshape(75, 50)
    expected = torch.linalg.svdvals(jacobian).square().sort().values
    assert torch.allclose(squared_singular_values(conv, 5).flatten().sort().values, expected, atol=1e-12)


def gaussian_second_moment(n, taps):
    """E λ² = 2 + |c(ω)|²/n with c(ω) = (1/k²) Σ_β exp(2iω·β), since A(ω) is not circular; mean |c|² is 1/k²."""
    return 2 + 1 / (n * taps)


def per_tap_second_moment(n, taps):
    """Of the pairs β₁=β₂, β₃=β₄ and β₁=β₄, β₂=β₃ there are 2k⁴ − k² out of k⁴; all others average to 0 over ω."""
    return 2 - 1 / taps


def flat_second_moment(n, taps):
    """A(ω) = V·E for V the first n rows of a Haar matrix of size N = nk², E made of k² phases times the identity.

    With P = VᵀV, E[P_ij P_kl] = a δ_ij δ_kl + b (δ_ik δ_jl + δ_il δ_jk) where (tr P)² = n², tr P² = n fix a and b.
    """
    size = n * taps
    b = n * (1 - 1 / taps) / ((size - 1) * (size + 2))
    a = 1 / taps**2 - 2 * b / size
    return a * taps**2 + b * taps**2 * (1 / taps + n)


SECOND_MOMENTS = {
    "gaussian": gaussian_second_moment,
    "orthogonal": per_tap_second_moment,
    "flat_orthogonal": flat_second_moment,
}


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("scheme", SECOND_MOMENTS)
def test_relative_variance_of_squared_singular_values_at_finite_width(scheme, k):
    """Exact in the mean over draws: within 4 standard errors, at most 0.03 for Gaussian weights and 0.01 for others."""
    n, source = 12, generator()
    conv = Conv(n, n, k).double()
    spectra = torch.stack([squared_singular_values(initialize(conv, scheme, source), SIDE) for _ in range(300)])
    second_moments = spectra.square().mean((1, 2, 3))  # one for each draw
    standard_error = float(second_moments.std()) / math.sqrt(len(spectra))
    expected = SECOND_MOMENTS[scheme](n, k * k)
    assert abs(float(second_moments.mean()) - expected) < 4 * standard_error + 1e-12
    assert standard_error < (0.03 if scheme == "gaussian" else 0.01)
    if scheme != "gaussian":  # the Frobenius norm does not fluctuate
        assert torch.allclose(spectra.mean((1, 2, 3)), torch.ones(300, dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(
    "scheme, limit",
    [("gaussian", lambda k: 1), *((s, lambda k: 1 - 1 / k**2) for s in ("orthogonal", "flat_orthogonal"))],
)
def test_relative_variance_at_large_width(scheme, limit, k):
    """One draw of 128 channels: 1 for Gaussian, 1 − 1/k² for per-tap and flat, to 0.02."""
    conv = initialize(Conv(128, 128, k).double(), scheme, generator())
    spectrum = squared_singular_values(conv, SIDE)
    assert abs(float(spectrum.var() / spectrum.mean() ** 2) - limit(k)) < 0.02
    assert abs(SECOND_MOMENTS[scheme](10**6, k * k) - 1 - limit(k)) < 1e-5  # which the finite-n formulas tend to


@pytest.mark.parametrize("n_in, n_out", [(6, 6), (4, 6), (1, 5)])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_delta_orthogonal_convolutions_are_isometries(k, n_in, n_out):
    conv = initialize(Conv(n_in, n_out, k).double(), "delta_orthogonal", generator())
    spectrum = squared_singular_values(conv, SIDE)
    assert torch.allclose(spectrum, torch.full_like(spectrum, n_out / n_in), rtol=1e-13)  # norm per channel is kept
    assert conv.weight.square().sum().item() == pytest.approx(n_out * n_in * k * k, rel=1e-13)


def hidden_states(net, x):
    states = [x]
    for layer, phi in itertools.islice(zip(net.layers, net.activations, strict=False), net.depth - 1):
        states.append(phi(layer(states[-1])))
    return states


@pytest.mark.parametrize("padding", ["circular", "zeros"])  # the centre tap alone reads no padding
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_linear_delta_orthogonal_cnn_is_an_isometry_at_every_depth(k, parameterization, padding):
    options = {"activation": "identity", "weight_var": 1, "bias_var": 0, "parameterization": parameterization}
    net = CNN(3, SIDE, 2, 8, 20, k, padding, **options).double()
    initialize(net, "delta_orthogonal", generator())
    with torch.no_grad():
        image, *hidden = hidden_states(net, inputs(5, 3, SIDE, SIDE))
    grams = [h.flatten(1) @ h.flatten(1).mT for h in hidden]  # norms and angles
    assert len(grams) == 19
    assert torch.allclose(grams[0], 8 / 3 * image.flatten(1) @ image.flatten(1).mT, rtol=1e-12, atol=1e-11)
    for gram in grams[1:]:
        assert torch.allclose(gram, grams[0], rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("scheme", ["gaussian", "orthogonal", "flat_orthogonal"])
def test_no_other_scheme_keeps_norms(scheme):
    net = CNN(3, SIDE, 2, 8, 20, activation="identity", weight_var=1, bias_var=0).double()
    initialize(net, scheme, generator())
    with torch.no_grad():
        norms = torch.stack([h.flatten(1).norm(dim=1) for h in hidden_states(net, inputs(5, 3, SIDE, SIDE))[1:]])
    assert (norms[-1] / norms[0] - 1).abs().max() > 0.1
