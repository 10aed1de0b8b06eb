"""A network's outputs, which leave no trace in it: for measurements in the middle of a training."""

import torch
from torch import Tensor, nn

from orthontk.kernels.parameters import in_type, stand_ins
from orthontk.kernels.undisturbed import undisturbed


def outputs_of(net: nn.Module, x: Tensor, chunk: int = 1000) -> Tensor:
    """f(x) of the network in its present mode, (N, O), in its own precision and full-precision arithmetic.

    The network is left as it was, also one whose forward pass writes to buffers (`spectral_norm`, counters): each pass
    has copies of them.

    Args:
        net: maps (N, …) to (N, O), or to (N, …) that is flattened to it.
        x: (N, …), where the network is.
        chunk: examples in one pass.

    Raises:
        InvalidValue: what the network returns is no batch of real outputs, or it draws random numbers.
    """
    with undisturbed(net, x.device), torch.no_grad():
        tensors = stand_ins(net)
        x = in_type(x, next(net.parameters()).dtype.to_real())
        return torch.cat([tensors.call(net, part) for part in x.split(chunk)])
