"""Stand-ins for a network's parameters, so that the network itself is never touched."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class StandIns:
    """What `torch.func.functional_call` puts in place of a network's tensors.

    Attributes:
        trainable: by name, leaves that require gradients; tied parameters appear once.
        fixed: parameters that do not require gradients, and buffers (copies, should the forward pass write to them).
    """

    trainable: dict[str, Tensor]
    fixed: dict[str, Tensor]

    def call(self, net: nn.Module, x: Tensor) -> Tensor:
        """net(x) with the stand-ins, flattened to (N, O)."""
        outputs = torch.func.functional_call(net, self.trainable | self.fixed, (x,))
        return outputs.reshape(len(x), -1)


def stand_ins(net: nn.Module, dtype: torch.dtype) -> StandIns:
    """Stand-ins of `dtype` that share memory with the parameters where the type is the same."""

    def cast(tensor: Tensor) -> Tensor:
        return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor.detach()

    named = list(net.named_parameters())
    trainable = {name: cast(p).detach().requires_grad_() for name, p in named if p.requires_grad}
    fixed = {name: cast(p) for name, p in named if not p.requires_grad}
    return StandIns(trainable, fixed | {name: cast(b).clone() for name, b in net.named_buffers()})
