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
    """

    trainable: dict[str, Tensor]
    fixed: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """All of them."""
        yield from (*self.trainable.items(), *self.fixed.items(), *self.buffers.items())

    def call(self, net: nn.Module, x: Tensor, trainable: dict[str, Tensor] | None = None) -> Tensor:
        """net(x) with the stand-ins, or others for the trainable ones, flattened to (N, O).

        Raises:
            InvalidValue: what the network returns is no batch of real outputs.
        """
        values = (self.trainable if trainable is None else trainable) | self.fixed
        outputs = torch.func.functional_call(
            net, values | {name: buffer.clone() for name, buffer in self.buffers.items()}, (x,)
        )
        accepted = "a network that returns a real tensor (N, …)"
        if not isinstance(outputs, Tensor):
            raise InvalidValue("net", f"an output of type {type(outputs).__name__}", accepted)
        if outputs.is_complex() or outputs.dim() == 0 or len(outputs) != len(x):
            shape = f"{outputs.dtype} outputs of shape {tuple(outputs.shape)} for {len(x)} examples"
            raise InvalidValue("net", shape, accepted)
        return outputs.reshape(len(x), -1)


def stand_ins(net: nn.Module, dtype: torch.dtype) -> StandIns:
    """Stand-ins of `dtype` that share memory with the network's tensors where the type is the same."""

    def cast(tensor: Tensor) -> Tensor:
        return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor.detach()

    named = list(net.named_parameters())
    trainable = {name: cast(p).detach().requires_grad_() for name, p in named if p.requires_grad and p.numel()}
    fixed = {name: cast(p) for name, p in named if name not in trainable}
    return StandIns(trainable, fixed, {name: cast(b) for name, b in net.named_buffers()})
