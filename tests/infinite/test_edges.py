"""Equal, antiparallel and zero inputs, and blocks of every size."""

import pytest
import torch
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import infinite_kernels
from orthontk.networks import CNN, FCN

ACTIVATIONS = ["tanh", "erf", "relu", "leaky_relu", "gelu", "identity", "ELU"]
X = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("bias_var", [0.0, 0.1])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_never_nan(activation, bias_var, parameterization):
    x = torch.cat([X, -X[:1], X[:1], torch.zeros(1, 6), 2 * X[:1]])
    net = FCN(6, 1, 4, 4, activation, 1.5, bias_var, parameterization)
    nngp, ntk = infinite_kernels(net, x)
    for kernel in (nngp, ntk):
        assert torch.isfinite(kernel).all()
        assert torch.equal(kernel, kernel.mT)
        assert torch.linalg.eigvalsh(kernel)[0] > -1e-12 * kernel.trace()
        assert torch.allclose(kernel[0], kernel[5], rtol=1e-12)  # equal inputs


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_no_inputs_are_refused(activation):
    net = FCN(6, 1, 4, 3, activation)
    for arguments in ((X[:0],), (X, X[:0])):
        with pytest.raises(InvalidValue, match="at least one input"):
            infinite_kernels(net, *arguments)


def test_zero_image_regions():
    """Black borders have q = 0 without biases."""
    x = torch.zeros(2, 1, 6, 6)
    x[:, :, 2:4, 2:4] = torch.tensor([1.0, -0.5])[:, None, None, None]
    for activation in ("relu", "tanh"):
        nngp, ntk = infinite_kernels(CNN(1, 6, 1, 4, 4, readout="pool", activation=activation, bias_var=0.0), x)
        assert torch.isfinite(nngp).all() and torch.isfinite(ntk).all() and (ntk.diag() > 0).all()


@pytest.mark.parametrize("activation", [pytest.param("tanh", marks=pytest.mark.slow), "erf"])
def test_equal_and_opposite_inputs_stay_so_in_deep_chaos(activation):
    """σ_w² = 4 multiplies 1 − |ρ| by about 2 a layer: a rounding error of 1e-16 would be of order 1 after 60."""
    net = FCN(6, 1, 4, 70, activation, 4.0, 0.0)
    ntk = infinite_kernels(net, X).ntk
    assert torch.allclose(infinite_kernels(net, X, X.clone()).ntk.diag(), ntk.diag(), rtol=1e-9)
    assert torch.allclose(infinite_kernels(net, X, -X).ntk, -ntk, rtol=1e-9)


@pytest.mark.parametrize("activation", [nn.Hardtanh(-1e3, 4.0), nn.Hardtanh(-4.0, 5.0)])
def test_an_activation_that_is_odd_near_zero_only_does_not_keep_inputs_opposite(activation):
    net = FCN(20, 1, 4, 2, activation, 10.0, 0.0)
    x = torch.randn(1, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x *= 20**0.5 / x.norm()
    opposite, nearly = (infinite_kernels(net, x, -factor * x) for factor in (1.0, 1 + 1e-6))
    for exact, near in zip(opposite, nearly, strict=True):
        assert torch.allclose(exact, near, rtol=1e-3)


def test_vanishing_lengths_keep_their_digits():
    """tanh with σ_w² = 0.1 shrinks lengths to 1e-150 without underflow: the linear regime's ratios survive."""
    nngp = infinite_kernels(FCN(6, 1, 4, 150, "tanh", 0.1, 0.0), 1e-3 * X).nngp
    linear = X @ X.T
    assert torch.allclose(nngp / nngp[0, 0], linear / linear[0, 0], rtol=1e-4)


@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_blocks_and_halves_do_not_matter(readout):
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net = CNN(2, 3, 1, 4, 3, padding="zeros", readout=readout, activation="gelu", weight_var=1.5, bias_var=0.1)
    whole = infinite_kernels(net, x)
    for blocks in (infinite_kernels(net, x, x.clone()), infinite_kernels(net, x, memory_limit=96 * 9 * 4)):
        assert torch.allclose(torch.stack(whole), torch.stack(blocks), rtol=1e-13)
    single = infinite_kernels(net, x, dtype=torch.float32)
    assert single.ntk.dtype == torch.float32 and torch.allclose(single.ntk.double(), whole.ntk, rtol=1e-6)


def test_a_cnn_of_one_tap_and_one_pixel_is_an_fcn():
    options = {"activation": "tanh", "weight_var": 1.4, "bias_var": 0.05, "parameterization": "standard"}
    fcn = infinite_kernels(FCN(6, 1, 7, 4, **options), X)
    cnn = infinite_kernels(CNN(6, 1, 1, 7, 4, kernel_size=1, **options), X[:, :, None, None])
    assert torch.allclose(torch.stack(fcn), torch.stack(cnn), rtol=1e-13)
