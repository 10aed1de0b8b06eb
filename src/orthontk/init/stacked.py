"""Many draws of one network at once, stacked on a leading axis."""

import torch
from torch import Tensor, nn

from orthontk.init.initializer import SCHEMES, Scheme, _normal, _scheme, _stream
from orthontk.networks.layers import WeightLayer


@torch.no_grad()
def draw_stacked(
    net: nn.Module, scheme: str | Scheme, draws: int, generator: torch.Generator | None = None, *, coupled: bool = False
) -> dict[str, Tensor]:
    """Parameters of `draws` independent networks, each (draws, …) in float64, by name; `net` is left alone.

    The law is that of `orthontk.init.initialize`, with `coupled` as there; the random numbers are not.

    >>> from orthontk.networks import FCN
    >>> draw_stacked(FCN(8, 1, width=4, depth=2), "orthogonal", 3)["layers.0.weight"].shape
    torch.Size([3, 4, 8])
    """
    transform = _scheme(scheme)
    generator = _stream(transform, generator, coupled)
    parameters = {}
    for name, layer in net.named_modules():
        if isinstance(layer, WeightLayer):
            normal = _normal((draws, *layer.weight.shape), generator)
            parameters[f"{name}.weight"] = layer.weight_std * _each(transform, normal)
            parameters[f"{name}.bias"] = layer.bias_std * _normal((draws, *layer.bias.shape), generator)
    return parameters


def _each(transform: Scheme, normal: Tensor) -> Tensor:
    if transform in SCHEMES.values():
        return torch.func.vmap(transform)(normal)
    return torch.stack([transform(draw) for draw in normal])  # a user's own scheme may branch on its values
