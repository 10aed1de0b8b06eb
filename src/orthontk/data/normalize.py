"""What is done to the inputs before training. Norms, means and deviations are computed in float64."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from orthontk.checks import InvalidValue, number, one_of

NORMALIZATIONS = ("none", "unit_norm", "standardize", "qstar")


@dataclass(frozen=True)
class FirstLayer:
    """What `qstar` has to know of the network: q* of its activation, σ_w² and σ_b²."""

    q_star: float
    weight_var: float
    bias_var: float

    def squared_norm(self, n_in: int) -> float:
        """‖x‖² of an input of n₀ = `n_in` entries for which q¹ = σ_w²‖x‖²/n₀ + σ_b² equals q*.

        Raises:
            InvalidValue: no input has it, since q* is at most σ_b².

        >>> FirstLayer(q_star=0.5, weight_var=2.0, bias_var=0.1).squared_norm(n_in=10)
        2.0
        """
        number("weight_var", self.weight_var, above=0)
        number("bias_var", self.bias_var, minimum=0)
        if not self.bias_var < self.q_star < math.inf:
            accepted = (
                f"none, unit_norm or standardize, as q*={self.q_star:g} is no number above bias_var={self.bias_var:g}"
            )
            raise InvalidValue("normalize", "qstar", accepted)
        return n_in * (self.q_star - self.bias_var) / self.weight_var


def normalize(scheme: str, train: Tensor, others: list[Tensor], first_layer: FirstLayer | None = None) -> list[Tensor]:
    """[train, *others], each (N, C, H, W) or (N, d), normalized.

    Args:
        scheme: `none`; `unit_norm` (‖x‖ = 1); `standardize` (each channel has mean 0 and standard deviation 1 over the
            images and positions of `train`, whose statistics are used for all; vectors are one channel); `qstar`
            (each x rescaled so that q¹ = q*; convolutions with circular padding have it on average over positions).
        first_layer: needed by `qstar`.

    Raises:
        InvalidValue: unknown scheme, a zero input or a constant channel where it would be divided by zero, or `qstar`
            without `first_layer` or with q* ≤ σ_b².
    """
    one_of("normalize", scheme, NORMALIZATIONS)
    splits = [train, *others]
    if scheme == "none":
        return splits
    if scheme == "standardize":
        mean, std = channel_statistics(train)
        return [(x - mean.to(x.dtype)) / std.to(x.dtype) for x in splits]
    squared_norm = 1.0
    if scheme == "qstar":
        if first_layer is None:
            raise InvalidValue("normalize", scheme, "none, unit_norm or standardize where no network is known")
        squared_norm = first_layer.squared_norm(train[0].numel())
    return [rescale(scheme, x, squared_norm) for x in splits]


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel of (N, C, H, W), as (1, C, 1, 1); of all entries of (N, d)."""
    axes = (0, 2, 3) if x.dim() == 4 else (0, 1)
    std, mean = torch.std_mean(x.double(), dim=axes, correction=0, keepdim=True)
    if (std == 0).any():
        channel = int((std.flatten() == 0).nonzero()[0])
        raise InvalidValue("normalize", "standardize", f"none or unit_norm, as channel {channel} is constant")
    return mean, std


def rescale(scheme: str, x: Tensor, squared_norm: float) -> Tensor:
    """Every input of `x` multiplied so that its ‖x‖² is `squared_norm`."""
    norms = torch.linalg.vector_norm(x.flatten(1), dim=1, dtype=torch.float64)  # (N,)
    if (norms == 0).any():
        row = int((norms == 0).nonzero()[0])
        raise InvalidValue("normalize", scheme, f"none or standardize, as input {row} is zero and has no direction")
    factors = (squared_norm**0.5 / norms).to(x.dtype)
    return x * factors.view(-1, *[1] * (x.dim() - 1))
