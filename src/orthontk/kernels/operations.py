"""The operations whose use of a parameter has a known structure.

A handler gets the recorder, the torch function and its arguments, by the function's own names for them. It returns the
function's result after recording the use, or NotImplemented where this call is nothing it knows; then the function runs
on the parameter itself.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.kernels.padding import CircularPad
from orthontk.kernels.recorder import Reference
from orthontk.kernels.uses import ConvolutionUse, DenseUse, EmbeddingUse, ProductUse, SumUse


def _detached(reference: Reference | None, tensor: Tensor | None) -> Tensor | None:
    return tensor.detach() if reference else tensor


def _common(reference: Reference, z: Tensor, edge: int, scale: float = 1.0) -> dict:
    return {
        "parameter": reference.parameter,
        "shape": reference.shape,
        "scale": reference.scale * scale,
        "edge": edge,
        "z_shape": z.shape[1:],
    }


def _aligned(shape: torch.Size, z: Tensor) -> tuple[int, ...]:
    """`shape` as broadcasting sees it against one example of z."""
    return (1,) * (z.dim() - 1 - len(shape)) + tuple(shape[max(0, len(shape) - z.dim() + 1) :])


def _dense(recorder, call, h, weight, bias, transposed, alpha=1.0, beta=1.0):
    """z = alpha·h Wᵀ + beta·b, where `weight` is W, or Wᵀ if `transposed`; call(h, weight, bias) computes it."""
    w, b = recorder.reference(weight), recorder.reference(bias)
    if (w is None and b is None) or (w and not w.is_matrix) or h.dim() < 2 or not recorder.is_batch(h):
        return NotImplemented
    if b and bias.dim() != 1:
        return NotImplemented
    z, edge = recorder.record(call(h, _detached(w, weight), _detached(b, bias)))
    if w:
        common = _common(w, z, edge, alpha)
        recorder.uses.append(DenseUse(**common, inputs=h.detach(), transposed=w.transposed != transposed))
    if b:
        recorder.uses.append(SumUse(**_common(b, z, edge, beta), broadcast=_aligned(bias.shape, z)))
    return z


def _linear(recorder, func, input, weight, bias=None):
    return _dense(recorder, func, input, weight, bias, transposed=False)


def _addmm(recorder, func, input, mat1, mat2, *, beta=1, alpha=1):
    def call(h, weight, bias):
        return func(bias, h, weight, beta=beta, alpha=alpha)

    return _dense(recorder, call, mat1, mat2, input, transposed=True, alpha=alpha, beta=beta)


def _matmul(recorder, func, input, other):
    if not isinstance(other, Tensor) or other.dim() != 2:
        return NotImplemented
    return _dense(recorder, lambda h, weight, _: func(h, weight), input, other, None, transposed=True)


def _convolution(recorder, func, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    w, b, axes = recorder.reference(weight), recorder.reference(bias), weight.dim() - 2
    unknown = w and (w.transposed or w.reshaped)
    if (w is None and b is None) or unknown or input.dim() != axes + 2 or not recorder.is_batch(input):
        return NotImplemented
    z = func(input, _detached(w, weight), _detached(b, bias), stride, padding, dilation, groups)
    z, edge = recorder.record(z)
    if w:
        stride, dilation = _per_axis(stride, axes), _per_axis(dilation, axes)
        margins = _margins(padding, weight.shape[2:], dilation)
        geometry = {"stride": stride, "padding": margins, "dilation": dilation, "groups": groups}
        recorder.uses.append(ConvolutionUse(**_common(w, z, edge), inputs=input.detach(), **geometry))
    if b:
        recorder.uses.append(SumUse(**_common(b, z, edge), broadcast=(len(bias),) + (1,) * axes))
    return z


def _per_axis(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _margins(padding, kernel, dilation) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each spatial axis; `same` puts the odd one after, as torch does."""
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in _per_axis(0 if padding == "valid" else padding, len(kernel)))


def _pad(recorder, func, input, pad, mode="constant", value=None):
    in_order = len(pad) == 2 * (input.dim() - 2)  # F.pad's other forms are left to F.pad
    if mode != "circular" or not in_order or min(pad) < 0 or not input.requires_grad:
        return NotImplemented
    return CircularPad.apply(input, tuple(pad))


def _embedding(
    recorder,
    func,
    input,
    weight,
    padding_idx=None,
    max_norm=None,
    norm_type=2.0,
    scale_grad_by_freq=False,
    sparse=False,
):
    w = recorder.reference(weight)
    if w and max_norm is not None:
        raise InvalidValue("net", "Embedding(max_norm=…)", "an embedding that does not rescale its own weights")
    if w is None or not w.is_matrix or w.transposed or scale_grad_by_freq or not recorder.is_batch(input):
        return NotImplemented
    z, edge = recorder.record(func(input, weight.detach(), padding_idx))
    padding = padding_idx if padding_idx is None or padding_idx >= 0 else padding_idx + len(weight)
    recorder.uses.append(EmbeddingUse(**_common(w, z, edge), inputs=input, padding_index=padding))
    return z


def _normalization(recorder, call, plain, input, weight, bias, aligned: Callable[[Tensor], tuple[int, ...]]):
    """z = ĥ ∘ γ + β; call(h, γ, β) computes z, and plain() computes ĥ."""
    w, b = recorder.reference(weight), recorder.reference(bias)
    if (w is None and b is None) or not recorder.is_batch(input):
        return NotImplemented
    z, edge = recorder.record(call(input, _detached(w, weight), _detached(b, bias)))
    if w:
        recorder.uses.append(ProductUse(**_common(w, z, edge), broadcast=aligned(z), compute_factor=plain))
    if b:
        recorder.uses.append(SumUse(**_common(b, z, edge), broadcast=aligned(z)))
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
        lambda z: _aligned(torch.Size(normalized_shape), z),
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
        lambda z: _aligned(torch.Size(normalized_shape), z),
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


def _batch_norm(
    recorder, func, input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5
):
    if training:
        raise InvalidValue("net", "BatchNorm over the batch", "a network that treats examples apart; call net.eval()")
    h = input.detach()
    return _normalization(
        recorder,
        lambda h, weight, bias: func(h, running_mean, running_var, weight, bias, False, momentum, eps),
        lambda: F.batch_norm(h, running_mean, running_var, None, None, False, momentum, eps),
        input,
        weight,
        bias,
        _per_channel,
    )


def _elementwise_operands(recorder, input, other):
    """(h, θ as a tensor, its reference) of an elementwise operation of a batch and a parameter, else None."""
    for h, tensor in ((input, other), (other, input)):
        reference = recorder.reference(tensor)
        if reference is None or reference.transposed or not isinstance(h, Tensor) or recorder.reference(h):
            continue
        broadcasts = tensor.dim() < h.dim() or (tensor.dim() == h.dim() and tensor.shape[0] == 1)
        if h.dim() >= 2 and recorder.is_batch(h) and broadcasts:
            return h, tensor, reference
    return None


def _multiply(recorder, func, input, other):
    if isinstance(other, int | float) and (origin := recorder.reference(input)):
        return recorder.derive(func(input, other), origin, scale=float(other))
    if isinstance(input, int | float) and (origin := recorder.reference(other)):
        return recorder.derive(func(input, other), origin, scale=float(input))
    if (found := _elementwise_operands(recorder, input, other)) is None:
        return NotImplemented
    h, tensor, reference = found
    z, edge = recorder.record(h * tensor.detach())
    factor = h.detach().expand(z.shape)
    broadcast = _aligned(tensor.shape, z)
    recorder.uses.append(ProductUse(**_common(reference, z, edge), broadcast=broadcast, compute_factor=lambda: factor))
    return z


def _add(recorder, func, input, other, *, alpha=1):
    if alpha != 1 or (found := _elementwise_operands(recorder, input, other)) is None:
        return NotImplemented
    h, tensor, reference = found
    z, edge = recorder.record(h + tensor.detach())
    recorder.uses.append(SumUse(**_common(reference, z, edge), broadcast=_aligned(tensor.shape, z)))
    return z


def _divide(recorder, func, input, other):
    origin = recorder.reference(input)
    if origin is None or not isinstance(other, int | float):
        return NotImplemented
    return recorder.derive(func(input, other), origin, scale=1 / other)


def _transpose(recorder, func, input, *args):
    origin = recorder.reference(input)
    known = origin and origin.is_matrix and sorted(axis % 2 for axis in args if isinstance(axis, int)) in ([], [0, 1])
    return recorder.derive(func(input, *args), origin, transposes=True) if known else NotImplemented


def _reshape(recorder, func, input, *args, **kwargs):
    origin = recorder.reference(input)
    result = func(input, *args, **kwargs)
    if origin and not origin.transposed and math.prod(result.shape) == math.prod(origin.shape):
        return recorder.derive(result, origin, reshapes=True)
    return result


HANDLERS: dict[Callable, Callable] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    **dict.fromkeys((torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__), _matmul),
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _convolution),
    F.pad: _pad,
    F.embedding: _embedding,
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.group_norm: _group_norm,
    F.batch_norm: _batch_norm,
    **dict.fromkeys((torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__), _multiply),
    **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__), _add),
    **dict.fromkeys((torch.div, Tensor.div, Tensor.__truediv__), _divide),
    **dict.fromkeys((torch.t, Tensor.t, Tensor.T.__get__, Tensor.mT.__get__), _transpose),
    **dict.fromkeys((torch.transpose, Tensor.transpose), _transpose),
    **dict.fromkeys((Tensor.view, Tensor.reshape, torch.reshape, Tensor.unsqueeze, torch.unsqueeze), _reshape),
}
