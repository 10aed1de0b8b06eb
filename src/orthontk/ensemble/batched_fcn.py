"""The forward pass of stacked fully connected networks, an operation for all replicas at a time."""

import torch
from torch import Tensor

from orthontk.networks import FCN
from orthontk.networks.fcn import flatten_images
from orthontk.networks.layers import Dense


def batched_fcn(skeleton: FCN, parameters: dict[str, Tensor], x: Tensor, shared: bool) -> Tensor:
    """Outputs (R, N, O) on inputs (N, …) that all replicas see, or (R, N, …) if not `shared`.

    Inputs that are shared are multiplied by the weights of all replicas as one matrix, R·n rows tall: one large product
    where R small ones would each read the inputs again.
    """
    h = flatten_images(x) if shared else torch.stack([flatten_images(part) for part in x])
    for number, layer in enumerate(skeleton.layers):
        weight, bias = parameters[f"layers.{number}.weight"], parameters[f"layers.{number}.bias"]
        z = _shared_layer(layer, weight, bias, h) if h.dim() == 2 else _layer(layer, weight, bias, h)
        h = skeleton.activations[number](z) if number < len(skeleton.activations) else z
    return h


def _shared_layer(layer: Dense, weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:  # (N, n₀) -> (R, N, n)
    z = torch.addmm(bias.flatten(), x, weight.flatten(0, 1).mT, beta=layer.bias_scale, alpha=layer.weight_scale)
    return z.view(len(x), *bias.shape).transpose(0, 1)


def _layer(layer: Dense, weight: Tensor, bias: Tensor, h: Tensor) -> Tensor:  # (R, N, n_in) -> (R, N, n_out)
    return torch.baddbmm(bias.unsqueeze(1), h, weight.mT, beta=layer.bias_scale, alpha=layer.weight_scale)
