"""Stand-ins for a network's parameters, so that the network itself is never touched."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue


@dataclass
class StandIns:
    """What `torch.func.functional_call` puts in place of a network's tensors.

    Attributes:
        trainable: by name, leaves that require gradients; tied parameters appear once.
        fixed: parameters that do not require gradients.
        buffers: every pass gets copies, so that what one writes to them reaches no other.
        places: each place in the network where a tensor is, and the name that it has here.
        cast: the type that some of the network's tensors were cast to; None where all had it.
    """

    trainable: dict[str, Tensor]
    fixed: dict[str, Tensor]
    buffers: dict[str, Tensor]
    places: dict[str, str]
    cast: torch.dtype | None

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """All of them."""
        yield from (*self.trainable.items(), *self.fixed.items(), *self.buffers.items())

    def call(self, net: nn.Module, x: Tensor, others: dict[str, Tensor] | None = None) -> Tensor:
        """net(x) with the stand-ins, or others for some of them, flattened to (N, O).

        Raises:
            InvalidValue: what the network returns is no batch of real outputs; it cannot be computed in another type.
        """
        buffers = {name: buffer.clone() for name, buffer in self.buffers.items()}
        values = self.trainable | self.fixed | buffers | (others or {})
        everywhere = {place: values[name] for place, name in self.places.items()}
        # A copy, as a layer that works in place may write to it: x is the caller's, or a leaf, where none may write.
        try:
            outputs = torch.func.functional_call(net, everywhere, (x.clone(),), tie_weights=False)
        except RuntimeError as error:  # which is all that torch says of types that differ
            if self.cast and any(word in str(error) for word in ("dtype", "scalar type")):
                accepted = f"a network that can be computed in {self.cast}; its forward pass casts to other types"
                raise InvalidValue("net", type(net).__name__, accepted) from error
            raise
        accepted = "a network that returns real floating-point numbers (N, …), at least one for each example"
        if not isinstance(outputs, Tensor):
            raise InvalidValue("net", f"an output of type {type(outputs).__name__}", accepted)
        if not outputs.is_floating_point() or not outputs.numel() or outputs.dim() == 0 or len(outputs) != len(x):
            shape = f"{outputs.dtype} outputs of shape {tuple(outputs.shape)} for {len(x)} examples"
            raise InvalidValue("net", shape, accepted)
        return outputs.reshape(len(x), -1)


def stand_ins(net: nn.Module, dtype: torch.dtype | None = None) -> StandIns:
    """Stand-ins of `dtype`, None the tensors' own, that share memory with the network's where the type is the same."""

    def cast(tensor: Tensor) -> Tensor:
        return tensor.detach().to(dtype) if dtype and tensor.is_floating_point() else tensor.detach()

    named = list(net.named_parameters())
    trainable = {name: cast(p).detach().requires_grad_() for name, p in named if p.requires_grad and p.numel()}
    fixed = {name: cast(p) for name, p in named if name not in trainable}
    buffers = {name: cast(b) for name, b in net.named_buffers()}
    own_types = {t.dtype for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()}
    return StandIns(trainable, fixed, buffers, places_of(net), dtype if own_types - {dtype} else None)


def places_of(net: nn.Module) -> dict[str, str]:
    """For each place where a module has a tensor, the first such place of that tensor.

    A module that is there twice is one place: PyTorch would exchange its tensors twice, and put a stand-in back.
    """
    places: dict[str, str] = {}
    first: dict[int, str] = {}
    for path, module in net.named_modules():
        own = {"recurse": False, "remove_duplicate": False}
        for name, tensor in (*module.named_parameters(**own), *module.named_buffers(**own)):
            place = f"{path}.{name}" if path else name
            places[place] = first.setdefault(id(tensor), place)
    return places
