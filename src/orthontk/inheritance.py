"""Whether an object of a user's class computes what its base class does, so that what is known of one holds of both."""

import inspect
from typing import Any

DECIDING = ("forward", "step")  # of a module and of an optimizer


def runs_as(thing: Any, *kinds: type) -> bool:
    """Whether `thing` is one of `kinds`, or of a subclass that overrides neither its `forward` nor its `step`.

    >>> from torch import nn
    >>> class Halved(nn.MSELoss):
    ...     def forward(self, outputs, targets):
    ...         return super().forward(outputs, targets) / 2
    >>> runs_as(nn.MSELoss(), nn.MSELoss), runs_as(Halved(), nn.MSELoss)
    (True, False)
    """
    return any(isinstance(thing, kind) and _methods(type(thing)) == _methods(kind) for kind in kinds)


def _methods(kind: type) -> list[Any]:
    # Unwrapped, as torch wraps the step of an optimizer's class, a subclass's too, when the first one is made.
    return [inspect.unwrap(getattr(kind, name, None)) for name in DECIDING]
