"""The networks of `ntk_settings.py` in orthontk's terms."""

import torch
from ntk_settings import BIAS_VAR, OUTPUTS, WEIGHT_VAR
from torch import Tensor, nn

from orthontk.init import initialize
from orthontk.networks import CNN, FCN, Conv, Dense

SCALES = {"weight_var": WEIGHT_VAR, "bias_var": BIAS_VAR}


class ResNet(nn.Module):
    """A convolution, blocks h + conv(φ(conv(φ(h)))), then φ, the average over positions and a readout."""

    def __init__(self, in_channels: int, hidden: list[int]) -> None:
        super().__init__()
        self.first = Conv(in_channels, hidden[0], **SCALES)
        self.convolutions = nn.ModuleList(Conv(hidden[0], width, **SCALES) for width in hidden[1:])
        self.readout = Dense(hidden[-1], OUTPUTS, **SCALES)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, O)
        h = self.first(x)
        for inner, outer in zip(self.convolutions[::2], self.convolutions[1::2], strict=True):
            h = h + outer(torch.tanh(inner(torch.tanh(h))))
        return self.readout(torch.tanh(h).mean((-2, -1)))


def build(setting: dict, device: str = "cpu") -> tuple[nn.Module, Tensor, Tensor | None]:
    """The network, x1 and x2 of one setting, drawn from fixed seeds."""
    generator = torch.Generator().manual_seed(0)
    hidden = setting["hidden"]
    *image, channels = setting["input"]
    if setting["kind"] == "fcn":
        net = FCN(channels, OUTPUTS, hidden[0], len(hidden) + 1, **SCALES)
    elif setting["kind"] == "cnn":
        net = CNN(channels, tuple(image), OUTPUTS, hidden[0], len(hidden) + 1, readout=setting["readout"], **SCALES)
    else:
        net = ResNet(channels, hidden)
    initialize(net, "gaussian", generator)
    x1, x2 = (
        None if n is None else torch.randn(n, channels, *image, generator=generator).to(device)
        for n in (setting["n1"], setting["n2"])
    )
    return net.to(device), x1, x2
