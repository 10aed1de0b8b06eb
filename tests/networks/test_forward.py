"""The forward passes against their definitions written out in NumPy, float64."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from torch.func import functional_call, stack_module_state, vmap

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.networks import CNN, FCN, Conv, Dense

PHI = {
    "tanh": lambda z: 1 - 2 / (np.exp(2 * z) + 1),
    "erf": special.erf,
    "relu": lambda z: np.where(z > 0, z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "gelu": lambda z: z * (1 + special.erf(z / math.sqrt(2))) / 2,
    "identity": lambda z: z,
    "Softplus": lambda z: np.log(1 + np.exp(z)),  # an elementwise torch.nn class by its name
}
WEIGHT_VAR, BIAS_VAR = 1.7, 0.3


def draw(net, seed=0):
    return initialize(net.double(), "gaussian", torch.Generator().manual_seed(seed))


def inputs(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def scales(fan_in, parameterization):
    """σ_w/√fan_in and σ_b under `ntk`; parameters carry their own scale under `standard`."""
    return (math.sqrt(WEIGHT_VAR / fan_in), math.sqrt(BIAS_VAR)) if parameterization == "ntk" else (1.0, 1.0)


def parameters(layer):
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def naive_dense(layer, h, parameterization):
    weight, bias = parameters(layer)
    weight_scale, bias_scale = scales(weight.shape[1], parameterization)
    return np.einsum("oi,ni->no", weight, h) * weight_scale + bias_scale * bias


def naive_convolution(layer, h, padding, parameterization):
    """z(α) = s_w Σ_β W(β) h(α+β) + s_b b, one tap β at a time."""
    weight, bias = parameters(layer)
    n_out, n_in, k, _ = weight.shape
    height, width = h.shape[2:]
    weight_scale, bias_scale = scales(n_in * k * k, parameterization)
    z = np.zeros((len(h), n_out, height, width))
    for row, column in itertools.product(range(height), range(width)):
        for i, j in itertools.product(range(k), range(k)):
            at_row, at_column = row + i - k // 2, column + j - k // 2
            if padding == "circular":
                at_row, at_column = at_row % height, at_column % width
            elif not (0 <= at_row < height and 0 <= at_column < width):
                continue
            z[:, :, row, column] += weight_scale * h[:, :, at_row, at_column] @ weight[:, :, i, j].T
    return z + bias_scale * bias[:, None, None]


def naive_fcn(net, x, activation, parameterization):
    h = x
    for layer in net.layers[:-1]:
        h = PHI[activation](naive_dense(layer, h, parameterization))
    return naive_dense(net.layers[-1], h, parameterization)


def naive_cnn(net, x, activation, padding, readout, parameterization):
    h = x
    for layer in net.layers[:-1]:
        h = PHI[activation](naive_convolution(layer, h, padding, parameterization))
    h = h.reshape(len(h), -1) if readout == "flatten" else h.mean(axis=(2, 3))
    return naive_dense(net.layers[-1], h, parameterization)


def assert_equal(output, reference):
    np.testing.assert_allclose(output.detach().numpy(), reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("activation", PHI)
def test_fcn(activation, parameterization):
    net = draw(FCN(7, 3, 6, 4, activation, WEIGHT_VAR, BIAS_VAR, parameterization))
    x = inputs(5, 7)
    assert_equal(net(x), naive_fcn(net, x.numpy(), activation, parameterization))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 6), min_size=4, max_size=4),
    depth=st.integers(1, 5),
    parameterization=st.sampled_from(["ntk", "standard"]),
)
def test_fcn_of_every_shape(sizes, depth, parameterization):
    batch, n_in, n_out, width = sizes
    net = draw(FCN(n_in, n_out, width, depth, "tanh", WEIGHT_VAR, BIAS_VAR, parameterization))
    assert len(net.layers) == depth
    x = inputs(batch, n_in)
    assert_equal(net(x), naive_fcn(net, x.numpy(), "tanh", parameterization))


def test_fcn_flattens_images_in_height_width_channel_order():
    net = draw(FCN(2 * 3 * 4, 2, 5, 2, weight_var=WEIGHT_VAR, bias_var=BIAS_VAR))
    images = inputs(3, 4, 2, 3)  # (N, C, H, W)
    x = np.array([[z[c, i, j] for i in range(2) for j in range(3) for c in range(4)] for z in images.numpy()])
    assert_equal(net(images), naive_fcn(net, x, "tanh", "ntk"))


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("readout", ["flatten", "pool"])
@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("activation", PHI)
def test_cnn(activation, padding, readout, parameterization):
    options = {"padding": padding, "readout": readout, "parameterization": parameterization}
    net = draw(CNN(2, (4, 5), 3, 4, 3, activation=activation, weight_var=WEIGHT_VAR, bias_var=BIAS_VAR, **options))
    x = inputs(2, 2, 4, 5)
    assert_equal(net(x), naive_cnn(net, x.numpy(), activation, **options))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=4, max_size=4),
    image_size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    depth=st.integers(1, 4),
    k=st.sampled_from([1, 3, 5]),
    padding=st.sampled_from(["circular", "zeros"]),
    readout=st.sampled_from(["flatten", "pool"]),
)
def test_cnn_of_every_shape(sizes, image_size, depth, k, padding, readout):
    if padding == "circular":
        k = min(k, min(image_size) - (min(image_size) + 1) % 2)  # the largest odd size that fits
    batch, n_in, n_out, width = sizes
    net = draw(CNN(n_in, image_size, n_out, width, depth, k, padding, readout, "tanh", WEIGHT_VAR, BIAS_VAR))
    assert len(net.layers) == depth
    x = inputs(batch, n_in, *image_size)
    assert_equal(net(x), naive_cnn(net, x.numpy(), "tanh", padding, readout, "ntk"))


def test_one_number_is_the_size_of_a_square_image():
    assert CNN(1, 6, 2, 3, 2).image_size == CNN(1, (6, 6), 2, 3, 2).image_size == (6, 6)


def test_a_circular_convolution_commutes_with_shifts_and_a_zero_padded_one_does_not():
    x = inputs(2, 3, 5, 4)
    for padding, commutes in (("circular", True), ("zeros", False)):
        layer = draw(Conv(3, 2, 3, padding, bias_var=0.5))
        shifted = layer(x.roll((2, 1), (2, 3)))
        assert torch.allclose(shifted, layer(x).roll((2, 1), (2, 3))) == commutes


def test_dense_acts_on_the_last_axis_whatever_comes_before():
    layer = draw(Dense(4, 3, WEIGHT_VAR, BIAS_VAR))
    h = inputs(2, 5, 4)
    matrix = layer(h.reshape(10, 4))  # the fused path
    assert torch.allclose(layer(h), matrix.reshape(2, 5, 3), rtol=1e-14)
    assert torch.allclose(layer(h[0, 0]), matrix[0], rtol=1e-14)


@pytest.mark.parametrize(
    "build", [lambda: FCN(12, 2, 4, 3), lambda: CNN(3, 2, 2, 4, 3, kernel_size=1), lambda: FCN(12, 2, 4, 3, bias_var=0)]
)
def test_vectorized_over_examples_and_over_networks(build):
    nets = [draw(build(), seed) for seed in range(3)]
    x = inputs(5, 3, 2, 2)
    apart = torch.stack([net(x) for net in nets])  # (3, 5, 2)
    stacked, _ = stack_module_state(nets)
    together = vmap(lambda p: vmap(lambda one: functional_call(nets[0], p, one.unsqueeze(0))[0])(x))(stacked)
    assert torch.allclose(together, apart, rtol=1e-12, atol=1e-14)


def test_inputs_of_another_size_are_refused():
    fcn, cnn = FCN(12, 2, 4, 2), CNN(3, 4, 2, 4, 2)
    assert fcn(torch.ones(1, 12)).shape == fcn(torch.ones(1, 3, 2, 2)).shape == (1, 2)
    for shape in ((1, 11), (1, 3, 2, 3), (12,), ()):
        with pytest.raises(InvalidValue):
            fcn(torch.ones(shape))
    assert cnn(torch.ones(1, 3, 4, 4)).shape == (1, 2)
    for shape in ((1, 3, 4, 5), (1, 2, 4, 4), (3, 4, 4), (1, 48)):
        with pytest.raises(InvalidValue):
            cnn(torch.ones(shape))
