"""The convolutional family."""

import copy
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from orthontk.checks import InvalidValue, integer, one_of
from orthontk.networks.activations import make_activation
from orthontk.networks.layers import PADDINGS, Conv, Dense, check_kernel_size

READOUTS = ("flatten", "pool")


class CNN(nn.Module):
    """L−1 convolutions, each followed by φ, then a dense readout; see Networks in docs/mathematics.md.

    Args:
        in_channels: n₀, channels of an input.
        image_size: its height and width, or one number for both.
        out_features: O, entries of an output.
        width: n, channels of every hidden layer.
        depth: L, weight layers, the readout included.
        kernel_size: k, odd.
        padding: "circular" or "zeros".
        readout: "flatten" (dense over channels × positions) or "pool" (average over positions, then dense).
        activation, weight_var, bias_var, parameterization: as in `FCN`.

    Parameters start at zero; draw them with `orthontk.init.initialize`.

    Raises:
        InvalidValue: an argument outside what is accepted.

    >>> import torch
    >>> net = CNN(in_channels=1, image_size=28, out_features=10, width=16, depth=4)
    >>> net(torch.ones(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        image_size: int | Sequence[int],
        out_features: int,
        width: int,
        depth: int,
        kernel_size: int = 3,
        padding: str = "circular",
        readout: str = "flatten",
        activation: str | nn.Module = "tanh",
        weight_var: float = 1.05,
        bias_var: float = 2.01e-5,
        parameterization: str = "ntk",
    ) -> None:
        super().__init__()
        self.image_size = _sides(image_size)
        self.readout = one_of("readout", readout, READOUTS)
        self.in_channels = integer("in_channels", in_channels)
        self.width, self.depth = integer("width", width), integer("depth", depth)
        k = check_kernel_size(kernel_size)  # refused also where depth 1 leaves no convolution to use it
        if one_of("padding", padding, PADDINGS) == "circular" and k > min(self.image_size):
            raise InvalidValue("kernel_size", k, f"at most the image's side, {min(self.image_size)}")
        phi = make_activation(activation)
        self.out_features = integer("out_features", out_features)
        channels = [self.in_channels, *[self.width] * (self.depth - 1)]
        scales = weight_var, bias_var, parameterization
        convolutions = [Conv(n_in, n_out, k, padding, *scales) for n_in, n_out in pairwise(channels)]
        positions = math.prod(self.image_size) if readout == "flatten" else 1
        self.layers = nn.ModuleList([*convolutions, Dense(channels[-1] * positions, self.out_features, *scales)])
        self.activations = nn.ModuleList(copy.deepcopy(phi) for _ in convolutions)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, O)
        h = self.layer_inputs(x)
        for layer, activation in zip(self.layers, self.activations, strict=False):  # all but the readout
            h = activation(layer(h))  # (N, n, H, W)
        return self.layers[-1](h.flatten(1) if self.readout == "flatten" else h.mean((-2, -1)))

    def layer_inputs(self, x: Tensor) -> Tensor:
        """What the first layer takes of inputs: these themselves, (N, C, H, W).

        Raises:
            InvalidValue: inputs of another shape.
        """
        if x.shape[1:] != (self.in_channels, *self.image_size):
            accepted = f"inputs of that size with {self.in_channels} channels, not {tuple(x.shape)}"
            raise InvalidValue("image_size", self.image_size, accepted)
        return x


def _sides(image_size: Any) -> tuple[int, int]:
    """(height, width) of an image whose size is given as both or as one number for both."""
    pair = isinstance(image_size, Sequence) and not isinstance(image_size, str)
    if pair and len(image_size) != 2:
        raise InvalidValue("image_size", image_size, "one integer, or two: height and width")
    height, width = image_size if pair else (image_size, image_size)
    return integer("image_size", height), integer("image_size", width)
