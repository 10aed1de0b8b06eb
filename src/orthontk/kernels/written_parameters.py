"""Forward passes that write to the network's own parameters, whose memory stand-ins share."""

import functools
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from orthontk.checks import InvalidValue


class ParametersKept:
    """Undoes the first write that changes one of some parameters, also by `.data`, and refuses the network.

    A copy is made only of what is written to, so a network that writes to none has nothing to wait for.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.addresses = {_address(p) for p in parameters} - {None}

    def guarded(self, func: Callable, args: tuple, kwargs: dict) -> Callable:
        """The function, or one in its place for a call that writes to a parameter."""
        target = _written(func, args, kwargs)
        if target is None or _address(target) not in self.addresses:
            return func
        return functools.partial(_call_and_compare, func, target)


def _call_and_compare(func: Callable, target: Tensor, *args: object, **kwargs: object) -> object:
    place, before = target.detach(), target.detach().clone()
    result = func(*args, **kwargs)
    if not torch.equal(place, before):
        place.copy_(before)
        raise InvalidValue("net", "a forward pass that writes to parameters", "one that leaves them as they are")
    return result


def _written(func: Callable, args: tuple, kwargs: dict) -> Tensor | None:
    """What a call writes to, as its name says."""
    name = getattr(func, "__name__", "")
    in_place = name.startswith("__i") or name == "__setitem__" if name.endswith("__") else name.endswith("_")
    target = args[0] if in_place and args else kwargs.get("out")
    return target if isinstance(target, Tensor) else None


def _address(tensor: Tensor) -> int | None:
    """Of its memory; None where it has none, as under a transform."""
    try:
        return tensor.untyped_storage().data_ptr() or None
    except RuntimeError:
        return None
