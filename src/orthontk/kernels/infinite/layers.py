"""The network as its infinite-width recursion sees it: a list of linear maps with their scales."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue, one_of
from orthontk.inheritance import runs_as
from orthontk.init import SCHEMES
from orthontk.kernels.infinite.gaussian import Activation, as_activation
from orthontk.kernels.infinite.positions import tap_sum
from orthontk.networks import CNN, FCN, Conv, Dense, WeightLayer

PLACES = torch.linspace(-9, 9, 4001, dtype=torch.float64).sinh()  # close together near 0, and as far as ±4,000


@dataclass(frozen=True)
class LinearStep:
    """One weight layer, acting on covariances of its inputs.

    Attributes:
        weight_var, bias_var: σ_w², σ_b², which the forward and the backward pass see.
        input_scale, bias_scale: what the layer's own weights and bias contribute to Θ: σ_w² and σ_b² in the `ntk`
            parameterization, n_l·(taps) and 1 in the `standard` one.
        kernel_size, padding: 1 for dense layers.
        passes_through_centre: delta-orthogonal weights: every tap is trained, but only the centre's is not zero.
    """

    weight_var: float
    bias_var: float
    input_scale: float
    bias_scale: float
    kernel_size: int = 1
    padding: str = "circular"
    passes_through_centre: bool = False

    @property
    def taps(self) -> int:
        return self.kernel_size**2

    @property
    def passed_scale(self) -> float:
        """σ_w² for each of the taps that signals and gradients pass through, summed over."""
        return self.weight_var if self.passes_through_centre else self.weight_var / self.taps

    def tap_sum(self, covariances: Tensor) -> Tensor:
        """The sum over all taps, each of which is trained."""
        return tap_sum(covariances, self.kernel_size, self.padding)

    def passed(self, covariances: Tensor) -> Tensor:
        """σ_w² times the average over the taps that signals and gradients pass through."""
        return (covariances if self.passes_through_centre else self.tap_sum(covariances)) * self.passed_scale


def linear_steps(net: FCN | CNN, init: str) -> list[LinearStep]:
    """The layers of `net`.

    Raises:
        InvalidValue: an unknown scheme, one that cannot initialize `net`, or another network than FCN and CNN, such
            as a subclass with a forward pass of its own.
    """
    one_of("init", init, SCHEMES)
    if not runs_as(net, FCN, CNN) or not all(runs_as(layer, Dense, Conv) for layer in net.layers):
        raise InvalidValue("net", type(net).__name__, "an FCN or a CNN, with no forward pass of its own")
    convolutions = [layer for layer in net.layers if isinstance(layer, Conv)]
    if init == "delta_orthogonal" and not convolutions:
        raise InvalidValue("init", init, "a network with convolutions, or another scheme")
    for layer in convolutions if init == "delta_orthogonal" else []:
        n_out, n_in = layer.weight.shape[:2]
        if n_in > n_out:
            raise InvalidValue("init", init, f"n_in ≤ n_out in every convolution, not {n_in} inputs to {n_out} outputs")
    return [_step(layer, init) for layer in net.layers]


def _step(layer: WeightLayer, init: str) -> LinearStep:
    standard = layer.parameterization == "standard"
    input_scale, bias_scale = (float(layer.fan_in), 1.0) if standard else (layer.weight_var, layer.bias_var)
    scales = layer.weight_var, layer.bias_var, input_scale, bias_scale
    if not isinstance(layer, Conv):
        return LinearStep(*scales)
    return LinearStep(*scales, layer.kernel_size, layer.padding, init == "delta_orthogonal")


def activations(net: FCN | CNN) -> list[Activation]:
    """φ after every layer but the readout; copies of one module are analysed once."""
    functions = [_function(module) for module in net.activations]
    different = dict(zip(functions, net.activations, strict=True))
    known = {function: as_activation(module) for function, module in different.items()}
    return [known[function] for function in functions]


def _function(module: nn.Module) -> tuple[type, str, bytes]:
    """What tells activations apart: their values, too, as the description of a user's own may be that of others."""
    with torch.no_grad():
        values = copy.deepcopy(module).to("cpu", torch.float64)(PLACES)
    return type(module), repr(module), values.numpy().tobytes()


def as_images(net: FCN | CNN, x: Tensor) -> Tensor:
    """Inputs as (N, C, H, W) in float64 on the CPU; to a fully connected network they are images of one pixel.

    Raises:
        InvalidValue: inputs of another shape than the network's.
    """
    h = net.layer_inputs(x.detach().to("cpu", torch.float64))
    return h[:, :, None, None] if isinstance(net, FCN) else h
