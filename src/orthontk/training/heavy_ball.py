"""The one optimizer whose path through function space theory predicts: gradient descent with heavy-ball momentum."""

from typing import NamedTuple

import torch
from torch.optim import Optimizer

from orthontk.checks import InvalidValue
from orthontk.inheritance import runs_as

# What torch's SGD adds to θ ← θ − ηv, v ← βv + ∇, with the values that add nothing.
ADDITIONS = {"nesterov": False, "dampening": 0, "weight_decay": 0, "maximize": False}


class HeavyBall(NamedTuple):
    """θ ← θ − ηv, v ← βv + ∇."""

    lr: float
    momentum: float


def heavy_ball(optimizer: Optimizer) -> HeavyBall:
    """The η and β of an optimizer.

    Raises:
        InvalidValue: it is not torch's SGD, or adds something to heavy-ball momentum.

    >>> heavy_ball(torch.optim.SGD([torch.zeros(1)], lr=0.5, momentum=0.9))
    HeavyBall(lr=0.5, momentum=0.9)
    """
    if not runs_as(optimizer, torch.optim.SGD):
        accepted = "sgd or momentum: adaptive steps are no linear function of the gradient"
        raise InvalidValue("optimizer", type(optimizer).__name__.lower(), accepted)
    (group,) = optimizer.param_groups
    for name, without_effect in ADDITIONS.items():
        if group[name] != without_effect:
            raise InvalidValue(f"optimizer.{name}", group[name], f"{without_effect} for a predicted training")
    return HeavyBall(float(group["lr"]), float(group["momentum"]))
