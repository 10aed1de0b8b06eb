"""Draw a network's parameters in place."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue, boolean
from orthontk.init.schemes import delta_orthogonal, flat_orthogonal, gaussian, orthogonal
from orthontk.networks.layers import Conv, named_layers

Scheme = Callable[[Tensor], Tensor]

SCHEMES: dict[str, Scheme] = {
    "gaussian": gaussian,
    "orthogonal": orthogonal,
    "flat_orthogonal": flat_orthogonal,
    "delta_orthogonal": delta_orthogonal,
}
NONE = "none"  # of the schemes: the network's own


@torch.no_grad()
def initialize(
    net: nn.Module, scheme: str | Scheme, generator: torch.Generator | None = None, *, coupled: bool = False
) -> nn.Module:
    """Draw the weights of every `Dense` and `Conv` layer by `scheme`, and Gaussian biases, in place.

    Draws are made in float64 on the generator's device (the CPU by default) and then cast, so that a network is the
    same, to rounding, in every precision and on every device.

    Args:
        net: its weight layers are found by type; other parameters stay as they are.
        scheme: a name in `SCHEMES`, or a function from an iid N(0,1) draw of the weight's shape to unit-variance
            weights of that shape; or none, which leaves the network as its constructor drew it.
        generator: source of randomness; torch's default one if None.
        coupled: take the orthogonal factor from the very Gaussian draw (and use the very biases) that `gaussian` with
            the same generator state uses. The two networks are then paired; otherwise they are independent. The other
            schemes share one stream either way: networks that they draw from one state are paired with each other.

    Returns:
        `net`.

    Raises:
        InvalidValue: an unknown scheme, a `coupled` that is no truth value, a network without weight layers
            (under none, with weight layers that are zero), `delta_orthogonal` without convolutions or with a
            convolution that has more inputs than outputs, or a scheme that returns anything but weights of the given
            shape.

    >>> from orthontk.networks import FCN
    >>> net = initialize(FCN(8, 2, width=8, depth=2), "orthogonal", torch.Generator().manual_seed(0))
    >>> w = net.layers[0].weight
    >>> torch.allclose(w @ w.T, 8 * torch.eye(8), atol=1e-5)
    True
    """
    layers = [layer for _, layer in named_layers(net)]
    if isinstance(scheme, str) and scheme == NONE:
        if any(not layer.weight.any() for layer in layers):
            accepted = f"one of {', '.join(SCHEMES)}, as Dense and Conv layers start at zero"
            raise InvalidValue("scheme", scheme, accepted)
        return net
    transform = _scheme(scheme)
    boolean("coupled", coupled)
    if not layers:
        own = f"{NONE}, which leaves {type(net).__name__} as its constructor drew it"
        accepted = f"{own}, or a network with Dense or Conv layers of orthontk.networks"
        raise InvalidValue("scheme", _name(scheme), accepted)
    if transform is delta_orthogonal and not any(isinstance(layer, Conv) for layer in layers):
        raise InvalidValue("scheme", "delta_orthogonal", "a network with convolutions, or another scheme")
    generator = _stream(transform, generator, coupled)
    for layer in layers:
        weight = transform(_normal(layer.weight.shape, generator))
        if not isinstance(weight, Tensor) or weight.shape != layer.weight.shape:
            got = f"shape {tuple(weight.shape)}" if isinstance(weight, Tensor) else type(weight).__name__
            accepted = f"weights of shape {tuple(layer.weight.shape)}, not {got}"
            raise InvalidValue("scheme", _name(scheme), accepted)
        layer.weight.copy_(layer.weight_std * weight)
        layer.bias.copy_(layer.bias_std * _normal(layer.bias.shape, generator))
    return net


def _scheme(scheme: str | Scheme) -> Scheme:
    if callable(scheme):
        return scheme
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise InvalidValue("scheme", scheme, f"one of {', '.join(SCHEMES)}, {NONE}, or a function")
    return SCHEMES[scheme]


def _name(scheme: str | Scheme) -> str:
    """As a configuration names it: a function by its dotted name, an object by that of its class."""
    while isinstance(scheme, functools.partial):
        scheme = scheme.func
    named: Any = scheme if hasattr(scheme, "__qualname__") else type(scheme)
    return scheme if isinstance(scheme, str) else f"{named.__module__}.{named.__qualname__}"


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=generator.device)


def _stream(transform: Scheme, generator: torch.Generator | None, coupled: bool) -> torch.Generator:
    """Where a scheme's draws come from: `generator`, or a stream seeded from it that is independent of `gaussian`'s."""
    generator = generator or torch.default_generator
    if transform is gaussian or coupled:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return torch.Generator(generator.device).manual_seed(int(seed))
