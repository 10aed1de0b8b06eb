"""The NNGP kernel that a finite network's last hidden layer gives."""

import torch
from torch import Tensor

from orthontk.kernels.outputs import outputs_of
from orthontk.networks import CNN, FCN


@torch.no_grad()
def empirical_nngp(net: FCN | CNN, x1: Tensor, x2: Tensor | None = None) -> Tensor:
    """σ_w² h·h'/fan_in + σ_b² with h the readout's inputs, in float64: (N₁, N₂).

    No average over outputs: it is their covariance over draws of the readout, given all other weights. The network is
    left as it was.

    >>> net = FCN(2, 1, width=4, depth=1, weight_var=2.0, bias_var=0.5)
    >>> empirical_nngp(net, torch.eye(2))
    tensor([[1.5000, 0.5000],
            [0.5000, 1.5000]], dtype=torch.float64)
    """
    readout = net.layers[-1]
    h1 = _readout_inputs(net, x1)
    h2 = h1 if x2 is None else _readout_inputs(net, x2)
    return readout.weight_var * (h1 @ h2.mT) / readout.fan_in + readout.bias_var


def _readout_inputs(net: FCN | CNN, x: Tensor) -> Tensor:  # (N, fan_in)
    seen: list[Tensor] = []
    hook = net.layers[-1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double()))
    try:
        outputs_of(net, x)
    finally:
        hook.remove()
    return torch.cat(seen)
