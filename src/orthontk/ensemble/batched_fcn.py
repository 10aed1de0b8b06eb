"""The forward pass of stacked fully connected networks, an operation for all replicas at a time."""

from typing import Any

import torch
from torch import Tensor

from orthontk.networks import FCN
from orthontk.networks.fcn import flatten_images


def batched_fcn(skeleton: FCN, parameters: dict[str, Tensor], x: Tensor, shared: bool) -> Tensor:
    """Outputs (R, N, O) on inputs (N, …) that all replicas see, or (R, N, …) if not `shared`.

    Activations are kept as (R, n, N), with the examples last: then W h reads both as they lie in memory, and so do the
    products of the backward pass. Shared inputs meet the weights of all replicas as one matrix, R·n rows tall: one
    large product, and one more for its gradient, where R small ones would each read the inputs again.
    """
    h = flatten_images(x).unsqueeze(0) if shared else flatten_images(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    h = h.mT
    for number, layer in enumerate(skeleton.layers):
        weight, bias = parameters[f"layers.{number}.weight"], parameters[f"layers.{number}.bias"]
        rows = weight.reshape(len(h), -1, weight.shape[2]), bias.reshape(len(h), -1)
        z = _Dense.apply(*rows, h, layer.weight_scale, layer.bias_scale).view(*bias.shape, -1)
        h = skeleton.activations[number](z) if number < len(skeleton.activations) else z
    return h.mT


class _Dense(torch.autograd.Function):
    """z = σ_w/√n W h + σ_b b for W (R, n_out, n_in), b (R, n_out), h (R, n_in, N).

    PyTorch's own backward pass of such a product takes the factor on each gradient by itself, which is an eighth of a
    step's time for R = 20, n = 64.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bias: Tensor, h: Tensor, weight_scale: float, bias_scale: float) -> Tensor:
        ctx.save_for_backward(weight, h)
        ctx.scales = weight_scale, bias_scale
        return torch.baddbmm(bias.unsqueeze(2), weight, h, beta=bias_scale, alpha=weight_scale)

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        weight, h = ctx.saved_tensors
        weight_scale, bias_scale = ctx.scales
        dh = _scaled_product(weight.mT, dz, weight_scale) if ctx.needs_input_grad[2] else None
        return _scaled_product(dz, h.mT, weight_scale), bias_scale * dz.sum(2), dh, None, None


def _scaled_product(a: Tensor, b: Tensor, scale: float) -> Tensor:
    unused = a.new_empty(()).expand(len(a), a.shape[1], b.shape[2])  # what is added, times 0
    return torch.baddbmm(unused, a, b, beta=0, alpha=scale)
