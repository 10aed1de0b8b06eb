"""Kernels against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.init import SCHEMES
from orthontk.kernels import infinite_kernels
from orthontk.kernels.infinite import layers
from orthontk.kernels.infinite.gaussian import as_activation
from orthontk.networks import CNN, FCN


class Scaled(nn.Module):
    """tanh(a·u), which its description does not tell from others of its kind."""

    def __init__(self, a):
        super().__init__()
        self.a = a

    def forward(self, u):
        return torch.tanh(self.a * u)


class SquaredRelu(nn.ReLU):
    def forward(self, u):
        return u.clamp(min=0) ** 2


def test_activations_are_told_apart_by_what_they_compute():
    x, net = plane(1, 1, 1.0), FCN(2, 1, 4, 3, Scaled(1.0))
    assert torch.equal(infinite_kernels(net, x).ntk, infinite_kernels(FCN(2, 1, 4, 3, "tanh"), x).ntk)
    mixed = []
    for second in (Scaled(3.0), type("Other", (Scaled,), {})(3.0)):
        net.activations[1] = second
        mixed.append(infinite_kernels(net, x).ntk)
    assert torch.equal(*mixed)


def test_copies_of_an_activation_are_analysed_once(monkeypatch):
    calls = []
    monkeypatch.setattr(layers, "as_activation", lambda module: calls.append(module) or as_activation(module))
    assert len(set(layers.activations(FCN(2, 1, 4, 6, Scaled(1.0))))) == len(calls) == 1


def test_a_subclass_has_no_closed_form_of_its_parent():
    """E[relu(u)⁴] = 3q²/2."""
    kernels = infinite_kernels(FCN(2, 1, 4, 2, SquaredRelu(), 1.0, 0.0), plane(1, 1, 1.0))
    assert kernels.nngp[0, 0].item() == pytest.approx(1.5, rel=1e-12)


def plane(length1, length2, angle):
    """Two inputs of 2 entries with the given |x|² /2 and angle."""
    return torch.tensor(
        [
            [math.sqrt(2 * length1), 0.0],
            [math.sqrt(2 * length2) * math.cos(angle), math.sqrt(2 * length2) * math.sin(angle)],
        ],
        dtype=torch.float64,
    )


def test_relu_two_layers_by_hand():
    """σ_w² = 2, σ_b² = 0.3, |x|²/2 = 1 and an angle of 60°: Σ¹ = 2.3, c = 2·½ + 0.3 = 1.3, cos θ = 1.3/2.3.

    Σ² = 2·2.3(sin θ + (π−θ) cos θ)/2π + 0.3 and Θ² = Σ² + 2·1.3(π−θ)/2π; on the diagonal 2.6 and 2.6 + 2.3.
    """
    kernels = infinite_kernels(FCN(2, 1, 4, 2, "relu", 2.0, 0.3), plane(1, 1, math.pi / 3))
    theta = math.acos(1.3 / 2.3)
    nngp = 2.3 / math.pi * (math.sin(theta) + (math.pi - theta) * 1.3 / 2.3) + 0.3
    assert kernels.nngp.flatten().tolist() == pytest.approx([2.6, nngp, nngp, 2.6], rel=1e-13)
    ntk = nngp + 1.3 * (math.pi - theta) / math.pi
    assert kernels.ntk.flatten().tolist() == pytest.approx([4.9, ntk, ntk, 4.9], rel=1e-13)


def test_erf_two_layers_by_hand():
    """σ_w² = 1, σ_b² = 0, Σ¹ = [[1, ½], [½, 1]]: F = (2/π) asin(2c/3), G = (4/π)/√(9 − 4c²)."""
    kernels = infinite_kernels(FCN(2, 1, 4, 2, "erf", 1.0, 0.0), plane(1, 1, math.pi / 3))
    for entry, c in (((0, 0), 1.0), ((0, 1), 0.5)):
        nngp = 2 / math.pi * math.asin(2 * c / 3)
        assert float(kernels.nngp[entry]) == pytest.approx(nngp, rel=1e-13)
        assert float(kernels.ntk[entry]) == pytest.approx(nngp + c * 4 / math.pi / math.sqrt(9 - 4 * c**2), rel=1e-13)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_deep_linear_networks(parameterization):
    """identity, σ_w² = 1, σ_b² = 0, c = x·x'/n₀: `ntk` gives Θ^L = L·c.

    `standard` at n₀ = 2 and width 5: Θ¹ = 2c + 1, Θ^{l+1} = 5c + 1 + Θˡ.
    """
    net = FCN(2, 1, 5, 6, "identity", 1.0, 0.0, parameterization)
    kernels = infinite_kernels(net, plane(1, 2, 1.0))
    c = kernels.nngp
    assert torch.allclose(c, plane(1, 2, 1.0) @ plane(1, 2, 1.0).T / 2)
    expected = 6 * c if parameterization == "ntk" else 2 * c + 1 + 5 * (5 * c + 1)
    assert torch.allclose(kernels.ntk, expected, rtol=1e-13)


def test_critical_relu_ntk_grows_linearly():
    """σ_w² = 2: every |x|² keeps its length, so Θ^L(x, x) = 2L·|x|²/n₀."""
    ntk = infinite_kernels(FCN(2, 1, 4, 200, "relu", 2.0, 0.0), plane(3, 3, 1e-4)).ntk
    assert ntk.diag().tolist() == pytest.approx([1200, 1200], rel=1e-12)
    assert 0.9 < float(ntk[0, 1]) / 1200 < 1


@pytest.mark.parametrize("readout", ["flatten", "pool"])
@pytest.mark.parametrize("init", SCHEMES)
def test_linear_circular_cnn_by_hand(init, readout):
    """identity, σ_w² = 1, σ_b² = 0, one row of 3 pixels... as 3×3 images of equal rows, k = 3, L = 3.

    With C(α, α') = x_α·x'_α'/n₀ and A the average over taps, Gaussian layers give Σ = A²C averaged by the readout and
    Θ = 3Σ. Through delta-orthogonal layers C passes as it is: Σ is the readout of C, and
    Θ = (readout of A C [layer 1] + A C [layer 2] + C [readout]), where averaging leaves A's mean unchanged.
    """
    x = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net = CNN(2, 3, 1, 4, 3, 3, "circular", readout, "identity", 1.0, 0.0)
    kernels = infinite_kernels(net, x, init=init)
    c = torch.einsum("ica,jcb->ijab", x.flatten(2), x.flatten(2)) / 2
    expected = c.diagonal(dim1=2, dim2=3).mean(-1) if readout == "flatten" else c.mean((2, 3))
    assert torch.allclose(kernels.nngp, expected, atol=1e-14)  # a circular average keeps the mean
    assert torch.allclose(kernels.ntk, 3 * expected, atol=1e-14)


def test_zero_padding_counts_the_taps_inside():
    """One 3×3 image of ones, k = 3, identity, L = 2, `flatten`: taps inside are 4, 6 or 9 of 9.

    Layer 1: Σ(α, α) = inside(α)/9, whose mean over positions is (4·4 + 4·6 + 9)/81 = 49/81; Θ = 2Σ.
    """
    net = CNN(1, 3, 1, 4, 2, 3, "zeros", "flatten", "identity", 1.0, 0.0)
    kernels = infinite_kernels(net, torch.ones(1, 1, 3, 3))
    assert [float(k) for k in kernels] == pytest.approx([49 / 81, 98 / 81], rel=1e-13)


def test_delta_orthogonal_sees_zero_padding_through_the_trained_taps_alone():
    """As above: Σ passes the centre, 1; Θ = 49/81 from the convolution's taps + 1 from the readout."""
    net = CNN(1, 3, 1, 4, 2, 3, "zeros", "flatten", "identity", 1.0, 0.0)
    kernels = infinite_kernels(net, torch.ones(1, 1, 3, 3), init="delta_orthogonal")
    assert [float(k) for k in kernels] == pytest.approx([1, 1 + 49 / 81], rel=1e-13)


@pytest.mark.parametrize("activation", ["tanh", "erf", "relu", "leaky_relu", "gelu", "identity", "SiLU"])
@settings(max_examples=6, deadline=None)
@given(lengths=st.tuples(st.floats(-6, 0), st.floats(-6, 0)), angle=st.floats(0.01, 3.13))
def test_ntk_is_the_derivative_of_the_nngp_map(activation, lengths, angle):
    """Price's theorem: G = ∂F/∂c. With σ_w² = 1, σ_b² = 0, Θ² = F + cG, all from three nearby angles' F."""
    length1, length2 = 10 ** lengths[0], 10 ** lengths[1]
    scale = math.sqrt(length1 * length2)
    net = FCN(2, 1, 4, 2, activation, 1.0, 0.0)
    h = 1e-4 * math.sin(angle)
    centre, left, right = (
        infinite_kernels(net, plane(length1, length2, math.acos(math.cos(angle) + shift))) for shift in (0, -h, h)
    )
    derivative = float(right.nngp[0, 1] - left.nngp[0, 1]) / (2 * h)  # with respect to ρ
    expected = float(centre.nngp[0, 1]) + math.cos(angle) * derivative
    size = float(centre.ntk.diag().prod().sqrt())
    assert float(centre.ntk[0, 1]) == pytest.approx(expected, abs=2e-6 * size + 1e-11 * scale)


def test_refusals():
    fcn, cnn = FCN(4, 1, 8, 3), CNN(3, 4, 1, 2, 3)
    with pytest.raises(InvalidValue, match="convolutions"):
        infinite_kernels(fcn, torch.ones(1, 4), init="delta_orthogonal")
    with pytest.raises(InvalidValue, match="n_in ≤ n_out"):
        infinite_kernels(cnn, torch.ones(1, 3, 4, 4), init="delta_orthogonal")
    with pytest.raises(InvalidValue, match="init"):
        infinite_kernels(fcn, torch.ones(1, 4), init="xavier")
    with pytest.raises(InvalidValue, match="in_features"):
        infinite_kernels(fcn, torch.ones(1, 5))
    with pytest.raises(InvalidValue, match="image_size"):
        infinite_kernels(cnn, torch.ones(1, 3, 5, 4))
    with pytest.raises(InvalidValue, match="memory_limit"):
        infinite_kernels(cnn, torch.ones(1, 3, 4, 4), memory_limit=100)
    with pytest.raises(InvalidValue, match="net"):
        infinite_kernels(torch.nn.Linear(2, 2), torch.ones(1, 2))
