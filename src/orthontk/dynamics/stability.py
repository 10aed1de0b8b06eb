"""The largest learning rate at which the linearized network trains stably."""

import math

import torch
from torch import Tensor

from orthontk.checks import InvalidValue, one_of
from orthontk.dynamics.blocks import as_matrix
from orthontk.dynamics.momentum import check_momentum


def largest_stable_lr(kernel: Tensor, *, momentum: float = 0.0, optimizer: str = "sgd", loss: str = "mse") -> float:
    """(1+β)·N/λ_max(Θ) for the mean over N images of the summed squared error.

    A residual along an eigenvector λ obeys r_{t+1} = (1+β−2ηλ/N)·r_t − β·r_{t−1}, whose roots leave the unit disc when
    ηλ/N exceeds 1+β. Where no eigenvalue is above 0, every rate is stable: infinity.

    Args:
        kernel: Θ on the N training inputs, (N, N) per output or `full`, (N, N, O, O).
        momentum: heavy-ball β, in [0, 1).
        optimizer: "sgd"; others are refused.
        loss: "mse"; "cross_entropy" is refused.

    Raises:
        InvalidValue: Adam, RMSprop and others, whose step is no linear function of the gradient, or cross-entropy,
            whose curvature depends on the state; a kernel of no inputs, of different ones on its two axes, or with
            entries that are not finite.

    Source: Lee et al. 2019, §2.2.1; Polyak 1964 for momentum.

    >>> largest_stable_lr(torch.diag(torch.tensor([4.0, 1.0])))
    0.5
    """
    if optimizer.lower() != "sgd":
        raise InvalidValue("optimizer", optimizer, "sgd: adaptive steps have no largest stable learning rate")
    matrix, n, factor = as_matrix(kernel), len(kernel), rate_factor(loss, momentum)
    if n == 0 or matrix.shape[0] != matrix.shape[1]:
        raise InvalidValue("kernel", tuple(kernel.shape), "(N, N) or (N, N, O, O) with N of at least 1")
    largest = float(torch.linalg.eigvalsh(matrix)[-1])
    bound = factor * n / largest if largest > 0 else math.inf
    if loss == "cross_entropy":
        raise InvalidValue("loss", loss, f"mse: the range of cross-entropy depends on the state ({bound:g} bounds it)")
    return bound


def rate_factor(loss: str, momentum: float) -> float:
    """What the largest stable rate is of N/λ_max(Θ): 1+β, and for cross-entropy, as a bound, four times that.

    The curvature of cross-entropy in the outputs is at most 1/2, that of the summed squared error is 2.

    Raises:
        InvalidValue: a loss that is neither "mse" nor "cross_entropy", or β outside [0, 1).
    """
    multiple = {"mse": 1, "cross_entropy": 4}
    return multiple[one_of("loss", loss, multiple)] * (1 + check_momentum(momentum))
