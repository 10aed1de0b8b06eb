"""Losses that torch does not have, and what is asked of one that it has."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthontk.inheritance import runs_as


class OneHotMSE(nn.Module):
    """Mean over samples of Σₐ (fₐ(x) − yₐ)², with y the one-hot label.

    With a single output, y is +1 for the class 1 and −1 for the class 0.

    >>> OneHotMSE()(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    tensor(0.5000)
    """

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:  # (..., N, O), (..., N) -> (...)
        outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32))  # as torch's own under autocast
        return (outputs - targets(labels, outputs.shape[-1]).to(outputs.dtype)).square().sum(-1).mean(-1)


def is_mean_cross_entropy(loss: nn.Module) -> bool:
    """Whether it is the mean over all samples, with whatever label smoothing, and weighs all classes alike.

    >>> is_mean_cross_entropy(nn.CrossEntropyLoss()), is_mean_cross_entropy(nn.CrossEntropyLoss(ignore_index=3))
    (True, False)
    """
    whole = runs_as(loss, nn.CrossEntropyLoss) and loss.reduction == "mean"
    return whole and loss.weight is None and loss.ignore_index < 0


def targets(labels: Tensor, out_features: int) -> Tensor:
    """What a network's outputs are regressed on: one-hot (N, O), or ±1 of shape (N, 1) for a single output."""
    if out_features == 1:
        return (2 * labels - 1).unsqueeze(-1)
    return F.one_hot(labels, out_features)
