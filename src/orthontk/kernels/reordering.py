"""Which calls may put the examples of a batch in an order that depends on them, as dispatch to experts does.

A use that is recorded between such a call and its inverse belongs to other examples than its place says, and a few
examples that happen to be in order do not show it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

PLACE_OF_AXIS = {  # among the positional arguments
    torch.sort: 1,
    Tensor.sort: 1,
    torch.argsort: 1,
    Tensor.argsort: 1,
    torch.topk: 2,
    Tensor.topk: 2,
}
ALWAYS = {torch.msort, Tensor.msort, torch.nonzero, Tensor.nonzero, torch.argwhere, Tensor.argwhere}


def may_reorder(func: Callable, args: tuple, kwargs: dict[str, Any], examples: int) -> bool:
    """Whether the call sorts along an axis of `examples`, the first, or chooses some of them."""
    tensor = args[0] if args else kwargs.get("input")
    if not isinstance(tensor, Tensor) or tensor.dim() == 0 or tensor.shape[0] != examples:
        return False
    if func in PLACE_OF_AXIS:
        place = PLACE_OF_AXIS[func]
        given = args[place] if len(args) > place else -1
        axis = kwargs.get("dim", given)
        # `sort(stable=True)` has no axis in its place.
        return (-1 if isinstance(axis, bool) else axis) % tensor.dim() == 0
    if func is Tensor.__getitem__:
        index = args[1][0] if isinstance(args[1], tuple) and args[1] else args[1]
        return isinstance(index, Tensor) and index.dtype == torch.bool and index.dim() == 1
    return func in ALWAYS or (func is torch.where and len(args) + len(kwargs) == 1)
