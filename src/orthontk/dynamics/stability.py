"""The largest learning rate at which the linearized network trains stably."""

import torch
from torch import Tensor

from orthontk.checks import InvalidValue, number, one_of
from orthontk.dynamics.blocks import as_matrix


def largest_stable_lr(kernel: Tensor, *, momentum: float = 0.0, optimizer: str = "sgd", loss: str = "mse") -> float:
    """(1+β)·N/λ_max(Θ) for the mean over N images of the summed squared error; SPEC §4.

    A residual along an eigenvector λ obeys r_{t+1} = (1+β−2ηλ/N)·r_t − β·r_{t−1}, whose roots leave the unit disc when
    ηλ/N exceeds 1+β.

    Args:
        kernel: Θ on the N training inputs, (N, N) per output or `full`, (N, N, O, O).
        momentum: heavy-ball β, in [0, 1).
        optimizer: "sgd"; others are refused.
        loss: "mse"; "cross_entropy" is refused.

    Raises:
        InvalidValue: Adam, RMSprop and others, whose step is no linear function of the gradient, or cross-entropy,
            whose curvature depends on the state.

    Source: Lee et al. 2019, §2.2.1; Polyak 1964 for momentum.

    >>> largest_stable_lr(torch.diag(torch.tensor([4.0, 1.0])))
    0.5
    """
    if optimizer.lower() != "sgd":
        raise InvalidValue("optimizer", optimizer, "sgd: adaptive steps have no largest stable learning rate")
    matrix, n = as_matrix(kernel), len(kernel)
    largest = float(torch.linalg.eigvalsh(matrix)[-1])
    if one_of("loss", loss, ("mse", "cross_entropy")) == "cross_entropy":
        bound = 4 * n / largest
        raise InvalidValue("loss", loss, f"mse: the range of cross-entropy depends on the state ({bound:g} bounds it)")
    return (1 + _momentum(momentum)) * n / largest


def _momentum(value: float) -> float:
    if number("momentum", value, minimum=0) >= 1:
        raise InvalidValue("momentum", value, "a number below 1")
    return float(value)
