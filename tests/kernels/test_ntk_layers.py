"""Every kind of layer takes its structured path and agrees with per-example Jacobians, in float64."""

import pytest
import torch
from drawn import TOKENS, drawn, inputs
from naive_ntk import naive_ntk
from torch import nn

from orthontk.kernels import empirical_ntk, explain_ntk
from orthontk.kernels.problem import OUTPUTS
from orthontk.networks import Conv, Dense


class Affine(nn.Module):
    """Elementwise affine, without a module of its own in torch."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, h):
        return h * self.scale + self.shift


def conv_net(layer: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(
        layer, nn.Tanh(), nn.Flatten(2), nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(2 * channels, 2)
    )


def between(layer: nn.Module) -> nn.Module:
    """The layer between two convolutions on 4 channels."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 2), nn.Tanh(), layer, nn.Tanh(), nn.Conv2d(4, 3, 2), nn.Flatten(), nn.Linear(27, 2)
    )


IMAGE, SIGNAL, VOLUME = (2, 5, 5), (2, 9), (2, 4, 5, 3)
LAYERS = {
    "Dense": (nn.Sequential(Dense(4, 5, 1.3, 0.2), nn.Tanh(), Dense(5, 2, 1.3, 0.2)), (4,)),
    "Dense over positions": (nn.Sequential(Dense(4, 5, 1.3, 0.2), nn.Tanh(), nn.Flatten(), Dense(15, 2)), (3, 4)),
    "Conv": (conv_net(Conv(2, 3, weight_var=1.3, bias_var=0.2), 3), IMAGE),
    "Linear": (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2, bias=False)), (4,)),
    "Linear over positions": (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(30, 2)), (2, 3, 4)),
    "Conv1d": (conv_net(nn.Conv1d(2, 4, 3, stride=2, padding=1), 4), SIGNAL),
    "Conv2d strided": (conv_net(nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0)), 4), IMAGE),
    "Conv2d dilated": (conv_net(nn.Conv2d(2, 3, 2, dilation=(2, 1), bias=False), 3), IMAGE),
    "Conv2d grouped": (conv_net(nn.Conv2d(2, 6, 3, groups=2), 6), IMAGE),
    "Conv2d depthwise": (conv_net(nn.Conv2d(2, 2, 3, groups=2, padding="same"), 2), IMAGE),
    "Conv2d same, even": (conv_net(nn.Conv2d(2, 3, 4, padding="same", dilation=1), 3), IMAGE),
    "Conv2d valid": (conv_net(nn.Conv2d(2, 3, 4, padding="valid"), 3), IMAGE),
    "Conv2d circular": (conv_net(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), 3), IMAGE),
    "Conv2d reflect": (conv_net(nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"), 3), IMAGE),
    "Conv2d replicate": (conv_net(nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate", stride=2), 3), IMAGE),
    "Conv3d": (conv_net(nn.Conv3d(2, 3, (2, 3, 1), padding=(0, 1, 0), stride=(2, 1, 1)), 3), VOLUME),
    **{
        f"{kind.__name__} dilated, grouped, {mode}": (
            conv_net(kind(2, 4, 2, stride=2, dilation=2, groups=2, padding=1, padding_mode=mode), 4),
            shape,
        )
        for kind, shape, mode in (
            (nn.Conv1d, SIGNAL, "circular"),
            (nn.Conv1d, SIGNAL, "reflect"),
            (nn.Conv3d, VOLUME, "replicate"),
            (nn.Conv3d, VOLUME, "circular"),
        )
    },
    "LayerNorm": (nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)), (4,)),
    "LayerNorm over an image": (between(nn.LayerNorm([4, 4, 4])), IMAGE),
    "RMSNorm": (nn.Sequential(nn.Linear(4, 5), nn.RMSNorm(5), nn.Tanh(), nn.Linear(5, 2)), (4,)),
    "GroupNorm": (between(nn.GroupNorm(2, 4)), IMAGE),
    "InstanceNorm": (between(nn.InstanceNorm2d(4, affine=True)), IMAGE),
    "BatchNorm in eval mode": (between(nn.BatchNorm2d(4)), IMAGE),
    "elementwise affine": (nn.Sequential(nn.Linear(4, 5), Affine(5), nn.Tanh(), Affine(1, 5), nn.Linear(5, 2)), (4,)),
    "elementwise affine of an image": (between(Affine(4, 1, 1)), IMAGE),
    "PReLU": (nn.Sequential(nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 4), nn.PReLU(4), nn.Linear(4, 2)), (4,)),
    "PReLU of an image": (between(nn.Sequential(nn.PReLU(4), nn.Conv2d(4, 4, 1), nn.PReLU())), IMAGE),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_layer(name, outputs):
    net, shape = LAYERS[name]
    net, x1, x2 = drawn(net), inputs(4, *shape), inputs(2, *shape, seed=2)
    for second in (None, x2):
        theta = empirical_ntk(net, x1, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, x1, second, outputs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_structured(name):
    net, shape = LAYERS[name]
    explanation = explain_ntk(drawn(net), inputs(4, *shape))
    assert "torch.func" not in str(explanation)
    shown = {f"{r.layer}.{p}" for r in explanation.rows[1:] for p in r.parameters.split(", ")}
    assert shown == {name for name, _ in net.named_parameters()}


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx, outputs):
    net = drawn(nn.Sequential(nn.Embedding(7, 3, padding_idx=padding_idx), nn.Flatten(), nn.Tanh(), nn.Linear(18, 2)))
    assert "torch.func" not in str(explain_ntk(net, TOKENS))
    for second in (None, TOKENS[1:3]):
        theta = empirical_ntk(net, TOKENS, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, TOKENS, second, outputs), rtol=1e-10, atol=1e-10)
