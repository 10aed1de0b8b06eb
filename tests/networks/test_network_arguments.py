"""Each refused argument next to a valid neighbour that builds a network and runs."""

import math
import re

import numpy as np
import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.networks import CNN, FCN, Conv, Dense, named_layers

FCN_ARGUMENTS = {"in_features": 4, "out_features": 2, "width": 3, "depth": 2}
CNN_ARGUMENTS = {"in_channels": 2, "image_size": 4, "out_features": 2, "width": 3, "depth": 2}

COUNTS = [(0, 1), (-3, 3), (2.5, 2), (2.0, 2), (True, 1), ("3", 3), (None, 1), (math.nan, 1), (math.inf, 9)]
COUNTS += [(np.float64(3), np.int64(3))]
NOT_FINITE = [math.nan, math.inf, -math.inf, 10**400, "1", None, True]
WEIGHT_VARS = [(0, 1e-300), (-1, 1), (-1e-300, 1e-300), *((value, 2) for value in NOT_FINITE)]
BIAS_VARS = [(-1e-300, 0), (-1, 1), *((value, 0) for value in NOT_FINITE)]
PARAMETERIZATIONS = [("NTK", "ntk"), ("mup", "standard"), (None, "ntk"), (["ntk"], "ntk")]
SCALES = {"weight_var": WEIGHT_VARS, "bias_var": BIAS_VARS, "parameterization": PARAMETERIZATIONS}
CNN_ONLY = {
    "kernel_size": [*COUNTS, (2, 3), (4, 3), (5, 3)],  # 5 is larger than the image's side
    "padding": [("same", "zeros"), ("Circular", "circular"), (1, "zeros")],
    "readout": [("max", "pool"), ("Flatten", "flatten"), (None, "pool")],
    "image_size": [(0, 3), (3.5, 3), (True, 3), ((4,), (4, 3)), ((4, 4, 4), (4, 4)), ((4, 0), [4, 3]), ("44", 4)],
}


def cases(*tables):
    return [(name, bad, good) for table in tables for name, pairs in table.items() for bad, good in pairs]


def refuse(build, name, bad, good):
    net = build(**{name: good})
    assert torch.isfinite(net(torch.ones(2, *shape_of_input(net)))).all()
    with pytest.raises(InvalidValue, match="^" + re.escape(f"{name}=")) as refusal:
        build(**{name: bad})
    assert "\n" not in str(refusal.value)


def shape_of_input(net):
    return (net.in_channels, *net.image_size) if isinstance(net, CNN) else (net.in_features,)


@pytest.mark.parametrize("name, bad, good", cases(dict.fromkeys(FCN_ARGUMENTS, COUNTS), SCALES))
def test_fcn(name, bad, good):
    refuse(lambda **changed: FCN(**FCN_ARGUMENTS | changed), name, bad, good)


CNN_COUNTS = dict.fromkeys(CNN_ARGUMENTS.keys() - {"image_size"}, COUNTS)


@pytest.mark.parametrize("name, bad, good", sorted(cases(CNN_COUNTS, SCALES, CNN_ONLY), key=repr))
def test_cnn(name, bad, good):
    if name == "kernel_size" and good == 9:
        good = 3  # the neighbour of infinity must fit the image
    if name == "kernel_size" and good == 2:
        good = 1  # the neighbour of 2.0 must be odd
    refuse(lambda **changed: CNN(**CNN_ARGUMENTS | changed), name, bad, good)


@pytest.mark.parametrize("name, bad", [("kernel_size", 2), ("padding", "same"), ("activation", "tanhh")])
def test_arguments_that_depth_one_does_not_use_are_refused_all_the_same(name, bad):
    CNN(**CNN_ARGUMENTS | {"depth": 1})
    with pytest.raises(InvalidValue, match=f"^{name}="):
        CNN(**CNN_ARGUMENTS | {"depth": 1, name: bad})


def test_zero_padding_takes_kernels_larger_than_the_image():
    net = CNN(**CNN_ARGUMENTS | {"kernel_size": 7, "padding": "zeros"})
    assert net(torch.ones(1, 2, 4, 4)).shape == (1, 2)


@pytest.mark.parametrize("bad, good", COUNTS)
def test_layers_by_themselves(bad, good):
    Dense(good, 2), Dense(2, good), Conv(good, 2), Conv(2, good)
    for build, name in [
        (lambda: Dense(bad, 2), "in_features"),
        (lambda: Dense(2, bad), "out_features"),
        (lambda: Conv(bad, 2), "in_channels"),
        (lambda: Conv(2, bad), "out_channels"),
        (lambda: Conv(2, 2, bad), "kernel_size"),
    ]:
        with pytest.raises(InvalidValue, match=f"^{name}="):
            build()


def test_layers_are_named_from_the_input_on():
    net = CNN(**CNN_ARGUMENTS | {"depth": 3})
    assert [name for name, _ in named_layers(net)] == ["layer1", "layer2", "layer3"]
    assert [layer for _, layer in named_layers(net)] == list(net.layers)
    assert [layer.fan_in for layer in net.layers] == [2 * 9, 3 * 9, 3 * 16]
    assert not list(named_layers(torch.nn.Linear(2, 2)))


def test_attributes_are_plain_integers():
    net = FCN(np.int64(4), np.int64(2), np.int64(3), np.int64(2))
    assert all(type(value) is int for value in (net.in_features, net.out_features, net.width, net.depth))
    net = CNN(np.int64(2), np.int64(4), np.int64(2), np.int64(3), np.int64(2))
    assert all(type(value) is int for value in (net.in_channels, *net.image_size, net.out_features, net.depth))
