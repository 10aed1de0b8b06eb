"""Which calls may put the examples of a batch in an order that depends on them, as dispatch to experts does.

A use that is recorded between such a call and its inverse belongs to other examples than its place says, and a few
examples that happen to be in order do not show it. Sorting, counting places and choosing among examples are known;
an order that is computed in another way, such as a permutation matrix, shows only where the few are out of order.
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
    torch.cumsum: 1,
    Tensor.cumsum: 1,
}
COUNTS = {torch.cumsum, Tensor.cumsum}  # places, of whole numbers; of others it mixes examples, which shows
CHOOSES = {torch.msort, Tensor.msort, torch.nonzero, Tensor.nonzero, torch.argwhere, Tensor.argwhere}
LEAVES_TORCH = {Tensor.tolist, Tensor.numpy}
ALWAYS = CHOOSES | LEAVES_TORCH
MAY_REORDER = PLACE_OF_AXIS.keys() | ALWAYS | {torch.where, Tensor.__getitem__}


def may_reorder(func: Callable, args: tuple, kwargs: dict[str, Any], examples: int) -> bool:
    """Whether the call sorts or counts along an axis of `examples`, the first, or chooses some of them."""
    if func not in MAY_REORDER:
        return False
    tensor = args[0] if args else kwargs["input"]
    if not isinstance(tensor, Tensor) or tensor.dim() == 0 or tensor.shape[0] != examples:
        return False
    if func in COUNTS and tensor.is_floating_point():
        return False
    if func in PLACE_OF_AXIS:
        return _axis(PLACE_OF_AXIS[func], args, kwargs) % tensor.dim() == 0
    if func is Tensor.__getitem__:
        index = args[1][0] if isinstance(args[1], tuple) and args[1] else args[1]
        return isinstance(index, Tensor) and index.dtype == torch.bool and index.dim() == 1
    return func in ALWAYS or len(args) + len(kwargs) == 1  # `where` of a condition alone


def _axis(place: int, args: tuple, kwargs: dict[str, Any]) -> int:
    """What is given for it, or the last one; `sort(stable=True)` has no axis in its place."""
    axis = kwargs.get("dim", args[place] if len(args) > place else -1)
    return -1 if isinstance(axis, bool) else axis
