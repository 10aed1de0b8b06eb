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
        trainable: by name, leaves that require gradients; tied parameters appear once. All are real: a complex one is
            there as its real and imaginary parts, along an axis of its own at the end.
        fixed: parameters that do not require gradients.
        buffers: every pass gets copies, so that what one writes to them reaches no other.
        complex_names: of the trainable ones that the network knows as complex.
        places: each place in the network where a tensor is, and the name that it has here.
        cast: the type that some of the network's tensors were cast to; None where all had it.
    """

    trainable: dict[str, Tensor]
    fixed: dict[str, Tensor]
    buffers: dict[str, Tensor]
    complex_names: set[str]
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
        values |= {name: torch.view_as_complex(values[name]) for name in self.complex_names}
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
        return in_type(tensor.detach(), dtype) if dtype else tensor.detach()

    def leaf(parameter: Tensor) -> Tensor:
        own = cast(parameter)
        return (torch.view_as_real(own.resolve_conj()) if own.is_complex() else own).detach().requires_grad_()

    named = list(net.named_parameters())
    trainable = {name: leaf(p) for name, p in named if p.requires_grad and p.numel()}
    complex_names = {name for name, p in named if name in trainable and p.is_complex()}
    fixed = {name: cast(p) for name, p in named if name not in trainable}
    buffers = {name: cast(b) for name, b in net.named_buffers()}
    tensors = (*net.parameters(), *net.buffers())
    own_types = {t.dtype.to_real() for t in tensors if t.is_floating_point() or t.is_complex()}
    return StandIns(trainable, fixed, buffers, complex_names, places_of(net), dtype if own_types - {dtype} else None)


def in_type(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Floating-point numbers in `dtype`, complex ones in that of the same precision, others as they are."""
    if tensor.is_complex():
        return tensor.to(dtype.to_complex())
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


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
