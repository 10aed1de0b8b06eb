"""The forward pass of stacked fully connected networks, an operation for all replicas at a time."""

import torch
from torch import Tensor

from orthontk.networks import FCN
from orthontk.networks.fcn import flatten_images
from orthontk.networks.layers import Dense


def batched_fcn(skeleton: FCN, parameters: dict[str, Tensor], x: Tensor, shared: bool) -> Tensor:
    """Outputs (R, N, O) on inputs (N, …) that all replicas see, or (R, N, …) if not `shared`.

    Activations are kept as (R, n, N), with the examples last: then W h reads both as they lie in memory, and so do the
    products of the backward pass. Shared inputs meet the weights of all replicas as one matrix, R·n rows tall: one
    large product, and one more for its gradient, where R small ones would each read the inputs again.
    """
    h = flatten_images(x) if shared else torch.stack([flatten_images(part) for part in x])
    h = h.mT
    for number, layer in enumerate(skeleton.layers):
        weight, bias = parameters[f"layers.{number}.weight"], parameters[f"layers.{number}.bias"]
        z = _shared_layer(layer, weight, bias, h) if h.dim() == 2 else _layer(layer, weight, bias, h)
        h = skeleton.activations[number](z) if number < len(skeleton.activations) else z
    return h.mT


def _shared_layer(layer: Dense, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:  # (n₀, N) -> (R, n, N)
    rows = bias.flatten().unsqueeze(1)
    z = torch.addmm(rows, weight.flatten(0, 1), x, beta=layer.bias_scale, alpha=layer.weight_scale)
    return z.view(*bias.shape, -1)


def _layer(layer: Dense, weight: Tensor, bias: Tensor, h: Tensor) -> Tensor:  # (R, n_in, N) -> (R, n_out, N)
    return torch.baddbmm(bias.unsqueeze(2), weight, h, beta=layer.bias_scale, alpha=layer.weight_scale)
