"""The loss of a whole split from those of its batches: most losses are means over examples, and some are not.

Of one loss torch's own mean is none over the examples: `CrossEntropyLoss` that has weights, smooths labels and ignores
a class that is there divides its two terms by different sums. Its batches are weighed by the first term's.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from orthontk.inheritance import runs_as

WEIGHING = (nn.CrossEntropyLoss, nn.NLLLoss)  # those whose mean is over the weights of the examples' classes


def loss_terms(loss: nn.Module, losses: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What a batch adds to two sums, from which `loss_of_terms` makes the loss of all batches.

    They are the batch's share of the loss, and how much the batch counts: by its examples, unless `loss` is one of
    torch's that says otherwise. Any other is taken for a mean over examples.

    Shapes (…) of the batch's losses and (…, N) of the labels, to (…) each, in float64.
    """
    losses = losses.double()
    if _adds_up(loss):
        return losses, torch.ones_like(losses)
    weight = _weights(loss, labels).sum(-1).expand_as(losses)
    return (losses * weight).where(weight > 0, 0.0), weight  # of a batch that counts nothing, the mean is 0/0


def loss_of_terms(loss: nn.Module, shares: Tensor, weights: Tensor) -> Tensor:
    """The loss on all batches, from the sums of what `loss_terms` says of each."""
    return shares if _adds_up(loss) else shares / weights


def factor_among(processes: int, loss: nn.Module, labels: Tensor, added: Callable[[Tensor], Tensor]) -> Tensor | float:
    """By which a process multiplies the loss of its part of a minibatch, for the mean of all to be the whole one's.

    Args:
        labels: of the part; all parts have as many examples.
        added: sums a number over the processes.
    """
    if _adds_up(loss):
        return float(processes)
    if not runs_as(loss, *WEIGHING) or (loss.weight is None and loss.ignore_index < 0):
        return 1.0
    weight = _weights(loss, labels).sum()
    return processes * weight / added(weight.clone())


def _adds_up(loss: nn.Module) -> bool:
    torchs = (kind for kind in type(loss).__mro__ if kind.__module__ == nn.modules.loss.__name__)
    return runs_as(loss, *torchs) and loss.reduction == "sum"


def _weights(loss: nn.Module, labels: Tensor) -> Tensor:
    """How much each example counts in the mean: shaped like the labels, in float64."""
    if not runs_as(loss, *WEIGHING):
        return torch.ones_like(labels, dtype=torch.float64)
    counts = labels != loss.ignore_index
    if loss.weight is None:
        return counts.double()
    return loss.weight.double()[labels.where(counts, 0)].where(counts, 0.0)
