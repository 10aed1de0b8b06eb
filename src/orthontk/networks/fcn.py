"""The fully connected family."""

import copy
from itertools import pairwise

from torch import Tensor, nn

from orthontk.checks import InvalidValue, integer
from orthontk.networks.activations import make_activation
from orthontk.networks.layers import Dense


class FCN(nn.Module):
    """z¹ = W¹x + b¹, zˡ = Wˡφ(zˡ⁻¹) + bˡ, f = z^L; see Networks in docs/mathematics.md.

    Args:
        in_features: n₀, entries of a flattened input.
        out_features: O, entries of an output.
        width: n, units of every hidden layer.
        depth: L, weight layers, the readout included.
        activation: φ; see `make_activation`.
        weight_var, bias_var: σ_w², σ_b². The defaults put tanh on the critical line (Pennington et al. 2017).
        parameterization: "ntk" or "standard".

    Parameters start at zero; draw them with `orthontk.init.initialize`.

    Raises:
        InvalidValue: an argument outside what is accepted.

    >>> import torch
    >>> net = FCN(in_features=784, out_features=10, width=64, depth=3)
    >>> net(torch.ones(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        width: int,
        depth: int,
        activation: str | nn.Module = "tanh",
        weight_var: float = 1.05,
        bias_var: float = 2.01e-5,
        parameterization: str = "ntk",
    ) -> None:
        super().__init__()
        self.width, self.depth = integer("width", width), integer("depth", depth)
        self.in_features, self.out_features = integer("in_features", in_features), integer("out_features", out_features)
        phi = make_activation(activation)  # refused also where depth 1 leaves no layer to use it
        units = [self.in_features, *[self.width] * (self.depth - 1), self.out_features]
        self.layers = nn.ModuleList(
            Dense(n_in, n_out, weight_var, bias_var, parameterization) for n_in, n_out in pairwise(units)
        )
        self.activations = nn.ModuleList(copy.deepcopy(phi) for _ in self.layers[1:])

    def forward(self, x: Tensor) -> Tensor:  # (N, n₀) or images (N, C, H, W) -> (N, O)
        h = self.layer_inputs(x)
        for layer, activation in zip(self.layers, self.activations, strict=False):  # all but the readout
            h = activation(layer(h))
        return self.layers[-1](h)

    def layer_inputs(self, x: Tensor) -> Tensor:
        """What the first layer takes of inputs: (N, n₀) or images (N, C, H, W) to (N, n₀).

        Raises:
            InvalidValue: inputs of another shape.
        """
        if x.dim() < 2:
            raise InvalidValue("x", tuple(x.shape), "a batch: inputs of shape (N, in_features) or (N, C, H, W)")
        h = flatten_images(x)
        if h.shape[-1] != self.in_features:
            raise InvalidValue("in_features", self.in_features, f"{h.shape[-1]}, the entries of an input")
        return h


def flatten_images(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H·W·C), in the height-width-channel order of the paper's code; (N, n₀) stays as it is."""
    return x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x.flatten(1)
