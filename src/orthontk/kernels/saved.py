"""How many bytes a pass keeps, asked of one over a few examples."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Saved:
    """Bytes of the tensors that autograd keeps, by address: those that grow with the examples, and all others."""

    of_examples: dict[int, int] = field(default_factory=dict)
    shared: dict[int, int] = field(default_factory=dict)

    def note(self, tensor: Tensor, examples: int) -> None:
        if is_dense(tensor):
            kind = self.of_examples if grows_with(examples, tensor) else self.shared
            kind[tensor.data_ptr()] = tensor.nbytes

    def clear(self) -> None:
        """Begin anew: of a pass that has failed, other tensors may have taken the addresses."""
        self.of_examples.clear()
        self.shared.clear()

    def forget(self, made: Collection[Tensor], constant: Collection[Tensor]) -> None:
        """Leave out what is not there for each example: what is `made` of parameters, and what is `constant`.

        The former is counted once, for `torch.func` to take its gradient; the latter, which has none there, not at all.
        """
        for tensor in filter(is_dense, (*made, *constant)):
            self.of_examples.pop(tensor.data_ptr(), None)
        for tensor in filter(is_dense, constant):
            self.shared.pop(tensor.data_ptr(), None)


def grows_with(examples: int, tensor: Tensor) -> bool:
    """Whether an axis is the examples', if need be with another; for a number of them that is no other length."""
    return any(axis % examples == 0 for axis in tensor.shape)


def is_dense(tensor: Tensor) -> bool:
    """Whether it has an address and a size, as a sparse adjacency matrix has not."""
    return tensor.layout is torch.strided


def noting(saved: Saved, examples: int) -> torch.autograd.graph.saved_tensors_hooks:
    """Within it, a pass notes what autograd keeps; RuntimeError if it has transforms such as `torch.func.grad`."""

    def note(tensor: Tensor) -> Tensor:
        saved.note(tensor, examples)
        return tensor

    return torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)


class Results(TorchDispatchMode):
    """Keeps what every operation makes, so that each has an address of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(self, func: Callable, types, args=(), kwargs=None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.tensors += [tensor for tensor in tree_leaves(result) if isinstance(tensor, Tensor)]
        return result
