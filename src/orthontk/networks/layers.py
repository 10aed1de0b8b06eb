"""Dense and convolution layers whose parameterization is explicit.

With fan_in = n_in (dense) or n_in·k² (convolution), both parameterizations give the same functions at initialization:

- `ntk`: parameters have unit variance, the layer multiplies W by σ_w/√fan_in and b by σ_b (Jacot et al. 2018);
- `standard`: parameters carry the scale themselves, the layer multiplies by 1.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthontk.checks import InvalidValue, integer, number, one_of

PARAMETERIZATIONS = ("ntk", "standard")
PADDINGS = ("circular", "zeros")


class WeightLayer(nn.Module):
    """What the dense and the convolution layer share: a weight, a bias and their scales.

    Attributes:
        weight_scale, bias_scale: what the layer multiplies its parameters by.
        weight_std, bias_std: standard deviation of the parameters at initialization.
        fan_in: number of inputs that one output sums over.
    """

    def __init__(
        self, weight_shape: tuple[int, ...], weight_var: float, bias_var: float, parameterization: str
    ) -> None:
        super().__init__()
        self.weight_var = number("weight_var", weight_var, above=0)
        self.bias_var = number("bias_var", bias_var, minimum=0)
        self.parameterization = one_of("parameterization", parameterization, PARAMETERIZATIONS)
        self.fan_in = math.prod(weight_shape[1:])
        scales = math.sqrt(self.weight_var / self.fan_in), math.sqrt(self.bias_var)
        self.weight_scale, self.bias_scale = scales if parameterization == "ntk" else (1.0, 1.0)
        self.weight_std, self.bias_std = (1.0, 1.0) if parameterization == "ntk" else scales
        self.weight = nn.Parameter(torch.zeros(weight_shape))
        self.bias = nn.Parameter(torch.zeros(weight_shape[0]))

    def extra_repr(self) -> str:
        return (
            f"{tuple(self.weight.shape)}, weight_var={self.weight_var:g}, bias_var={self.bias_var:g}, "
            f"{self.parameterization}"
        )


class Dense(WeightLayer):
    """z = s_w·W h + s_b·b for h of shape (..., in_features); see Networks in docs/mathematics.md.

    Parameters start at zero; `orthontk.init.initialize` draws them.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        weight_var: float = 1.0,
        bias_var: float = 0.0,
        parameterization: str = "ntk",
    ) -> None:
        shape = integer("out_features", out_features), integer("in_features", in_features)
        super().__init__(shape, weight_var, bias_var, parameterization)

    def forward(self, h: Tensor) -> Tensor:  # (..., in_features) -> (..., out_features)
        if h.dim() == 2:  # one fused call instead of scaling W on every step
            return torch.addmm(self.bias, h, self.weight.mT, beta=self.bias_scale, alpha=self.weight_scale)
        return F.linear(h, self.weight_scale * self.weight, self.bias_scale * self.bias)


class Conv(WeightLayer):
    """A k×k convolution of stride 1 that keeps the image's size: z = s_w·W∗h + s_b·b.

    `padding` is "circular" (the image is a torus) or "zeros". Parameters start at zero, as in `Dense`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        padding: str = "circular",
        weight_var: float = 1.0,
        bias_var: float = 0.0,
        parameterization: str = "ntk",
    ) -> None:
        k = check_kernel_size(kernel_size)
        channels = integer("out_channels", out_channels), integer("in_channels", in_channels)
        super().__init__((*channels, k, k), weight_var, bias_var, parameterization)
        self.kernel_size = k
        self.padding = one_of("padding", padding, PADDINGS)

    def forward(self, h: Tensor) -> Tensor:  # (N, in_channels, H, W) -> (N, out_channels, H, W)
        margin = self.kernel_size // 2
        if self.padding == "circular" and margin > 0:
            h, margin = F.pad(h, (margin,) * 4, mode="circular"), 0
        return F.conv2d(h, self.weight_scale * self.weight, self.bias_scale * self.bias, padding=margin)


def check_kernel_size(size: Any) -> int:
    """`size` as an int, if it is odd and at least 1; otherwise InvalidValue."""
    if (k := integer("kernel_size", size)) % 2 == 0:
        raise InvalidValue("kernel_size", size, "an odd integer")
    return k


def named_layers(net: nn.Module) -> Iterator[tuple[str, WeightLayer]]:
    """The weight layers of `net`, in order, named layer1 … layerL as in zˡ = Wˡφ(zˡ⁻¹) + bˡ."""
    layers = (module for module in net.modules() if isinstance(module, WeightLayer))
    for number_from_one, layer in enumerate(layers, start=1):
        yield f"layer{number_from_one}", layer
