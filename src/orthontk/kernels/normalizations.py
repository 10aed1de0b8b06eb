"""Normalizations followed by an elementwise affine map, as the torch functions that compute them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.kernels.recorder import aligned, described, detached
from orthontk.kernels.uses import ProductUse, SumUse


def _normalization(recorder, call, input, weight, bias, broadcast: Callable[[Tensor], tuple[int, ...]]):
    """z = ĥ ∘ γ + β, which call(h, γ, β) computes; without γ and β it gives ĥ."""
    w, b = recorder.reference(weight), recorder.reference(bias)
    transposed = any(reference and reference.transposed for reference in (w, b))
    if (w is None and b is None) or transposed or not recorder.is_batch(input, w or b):
        return NotImplemented
    z, edge = recorder.record(call(input, detached(w, weight), detached(b, bias)), input if w else None)
    if w:
        h = input.detach()
        common = described(w, z, edge)
        recorder.uses.append(ProductUse(**common, broadcast=broadcast(z), compute_factor=lambda: call(h, None, None)))
    if b:
        recorder.uses.append(SumUse(**described(b, z, edge), broadcast=broadcast(z)))
    return z


def _layer_norm(recorder, func, input, normalized_shape, weight=None, bias=None, eps=1e-5):
    def call(h, weight, bias):
        return func(h, normalized_shape, weight, bias, eps)

    return _normalization(recorder, call, input, weight, bias, lambda z: aligned(torch.Size(normalized_shape), z))


def _rms_norm(recorder, func, input, normalized_shape, weight=None, eps=None):
    def call(h, weight, _):
        return func(h, normalized_shape, weight, eps)

    return _normalization(recorder, call, input, weight, None, lambda z: aligned(torch.Size(normalized_shape), z))


def _per_channel(z: Tensor) -> tuple[int, ...]:
    return (z.shape[1],) + (1,) * (z.dim() - 2)


def _group_norm(recorder, func, input, num_groups, weight=None, bias=None, eps=1e-5):
    def call(h, weight, bias):
        return func(h, num_groups, weight, bias, eps)

    return _normalization(recorder, call, input, weight, bias, _per_channel)


def _instance_norm(
    recorder,
    func,
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    if running_mean is not None or not use_input_stats:
        return NotImplemented
    return _group_norm(recorder, F.group_norm, input, input.shape[1], weight, bias, eps)


def _batch_norm(
    recorder, func, input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if training:
        raise InvalidValue("net", "BatchNorm over the batch", "a network that treats examples apart; call net.eval()")

    def normalized(h: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        # By hand, as PyTorch's backward pass is wrong for a single image of another memory format than its gradient.
        scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
        offset = (0 if bias is None else bias) - running_mean * scale
        return h * scale.view(_per_channel(h)) + offset.view(_per_channel(h))

    z = _normalization(recorder, normalized, input, weight, bias, _per_channel)
    return normalized(input, weight, bias) if z is NotImplemented else z


HANDLERS: dict[Callable, Callable] = {
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
}
