"""Normalizations followed by an elementwise affine map, as the torch functions that compute them."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.kernels.recorder import aligned, described, detached
from orthontk.kernels.uses import ProductUse, SumUse


def _normalization(recorder, call, plain, input, weight, bias, broadcast: Callable[[Tensor], tuple[int, ...]]):
    """z = ĥ ∘ γ + β; call(h, γ, β) computes z, and plain() computes ĥ."""
    w, b = recorder.reference(weight), recorder.reference(bias)
    transposed = any(reference and reference.transposed for reference in (w, b))
    if (w is None and b is None) or transposed or not recorder.is_batch(input, w or b):
        return NotImplemented
    z, edge = recorder.record(call(input, detached(w, weight), detached(b, bias)), input if w else None)
    if w:
        recorder.uses.append(ProductUse(**described(w, z, edge), broadcast=broadcast(z), compute_factor=plain))
    if b:
        recorder.uses.append(SumUse(**described(b, z, edge), broadcast=broadcast(z)))
    return z


def _layer_norm(recorder, func, input, normalized_shape, weight=None, bias=None, eps=1e-5):
    h = input.detach()
    return _normalization(
        recorder,
        lambda h, weight, bias: func(h, normalized_shape, weight, bias, eps),
        lambda: F.layer_norm(h, normalized_shape, None, None, eps),
        input,
        weight,
        bias,
        lambda z: aligned(torch.Size(normalized_shape), z),
    )


def _rms_norm(recorder, func, input, normalized_shape, weight=None, eps=None):
    h = input.detach()
    return _normalization(
        recorder,
        lambda h, weight, _: func(h, normalized_shape, weight, eps),
        lambda: F.rms_norm(h, normalized_shape, None, eps),
        input,
        weight,
        None,
        lambda z: aligned(torch.Size(normalized_shape), z),
    )


def _per_channel(z: Tensor) -> tuple[int, ...]:
    return (z.shape[1],) + (1,) * (z.dim() - 2)


def _group_norm(recorder, func, input, num_groups, weight=None, bias=None, eps=1e-5):
    h = input.detach()
    return _normalization(
        recorder,
        lambda h, weight, bias: func(h, num_groups, weight, bias, eps),
        lambda: F.group_norm(h, num_groups, None, None, eps),
        input,
        weight,
        bias,
        _per_channel,
    )


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
    h = input.detach()

    def normalized(h: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
        # By hand, as PyTorch's backward pass is wrong for a single image of another memory format than its gradient.
        scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
        offset = (0 if bias is None else bias) - running_mean * scale
        return h * scale.view(_per_channel(h)) + offset.view(_per_channel(h))

    z = _normalization(recorder, normalized, lambda: normalized(h, None, None), input, weight, bias, _per_channel)
    return normalized(input, weight, bias) if z is NotImplemented else z


HANDLERS: dict[Callable, Callable] = {
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
}
