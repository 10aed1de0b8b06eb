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


class VisionTransformer(nn.Module):
    """Patches of 4×4 and a class token, through encoder blocks of four heads, to a readout of the token."""

    def __init__(self, channels: int, size: int, hidden: list[int]) -> None:
        super().__init__()
        width = hidden[0]
        self.patches = nn.Conv2d(channels, width, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (size // 4) ** 2 + 1, width))
        block = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, len(hidden), nn.LayerNorm(width), enable_nested_tensor=False)
        self.readout = nn.Linear(width, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, O)
        h = self.patches(x).flatten(2).mT
        h = torch.cat([self.token.expand(len(h), -1, -1), h], 1) + self.positions
        return self.readout(self.blocks(h)[:, 0])


def build(setting: dict, device: str = "cpu") -> tuple[nn.Module, Tensor, Tensor | None]:
    """The network, x1 and x2 of one setting, drawn from fixed seeds."""
    generator = torch.manual_seed(0)  # PyTorch's own: also of the layers that draw their own weights
    hidden = setting["hidden"]
    *image, channels = setting["input"]
    if setting["kind"] == "fcn":
        net = FCN(channels, OUTPUTS, hidden[0], len(hidden) + 1, **SCALES)
    elif setting["kind"] == "cnn":
        net = CNN(channels, tuple(image), OUTPUTS, hidden[0], len(hidden) + 1, readout=setting["readout"], **SCALES)
    elif setting["kind"] == "resnet":
        net = ResNet(channels, hidden)
    else:
        net = VisionTransformer(channels, image[0], hidden)
    if setting["kind"] != "vit":
        initialize(net, "gaussian", generator)
    x1, x2 = (
        None if n is None else torch.randn(n, channels, *image, generator=generator).to(device)
        for n in (setting["n1"], setting["n2"])
    )
    return net.to(device), x1, x2
