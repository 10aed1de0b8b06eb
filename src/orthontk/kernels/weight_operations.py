"""Dense layers, convolutions and embeddings, as the torch functions that compute them."""

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.kernels.padding import CircularPad
from orthontk.kernels.recorder import aligned, described, detached
from orthontk.kernels.uses import ConvolutionUse, DenseUse, EmbeddingUse, SumUse

DENSE_EQUATION = re.compile(r"([a-zA-Z.]*)([a-zA-Z]),([a-zA-Z])([a-zA-Z])->(.*)")


def _dense(recorder, call, h, weight, bias, transposed, alpha=1.0, beta=1.0):
    """z = alpha·h Wᵀ + beta·b, where `weight` is W, or Wᵀ if `transposed`; call(h, weight, bias) computes it."""
    if (unmerged := recorder.unmerged(h)) is not None:
        z = _dense(recorder, _of_merged(call), unmerged, weight, bias, transposed, alpha, beta)
        if z is NotImplemented:
            return z
        merged = z.flatten(0, 1)
        recorder.note_merged(merged, z)
        return merged
    w, b = recorder.reference(weight), recorder.reference(bias)
    if (w is None and b is None) or (w and not w.is_matrix) or h.dim() < 2 or not recorder.is_batch(h, w or b):
        return NotImplemented
    if b and bias.dim() != 1:
        return NotImplemented
    z, edge = recorder.record(call(h, detached(w, weight), detached(b, bias)), h if w else None)
    if w:
        common = described(w, z, edge, alpha)
        recorder.uses.append(DenseUse(**common, inputs=h.detach(), transposed=w.transposed != transposed))
    if b:
        recorder.uses.append(SumUse(**described(b, z, edge, beta), broadcast=aligned(bias.shape, z)))
    return z


def _of_merged(call: Callable) -> Callable:
    """The same function of (N, P, features), computed as the network does: with both axes merged."""
    return lambda h, weight, bias: call(h.flatten(0, 1), weight, bias).unflatten(0, h.shape[:2])


def _linear(recorder, func, input, weight, bias=None):
    return _dense(recorder, func, input, weight, bias, transposed=False)


def _addmm(recorder, func, input, mat1, mat2, *, beta=1, alpha=1):
    def call(h, weight, bias):
        return func(bias, h, weight, beta=beta, alpha=alpha)

    return _dense(recorder, call, mat1, mat2, input, transposed=True, alpha=alpha, beta=beta)


def _matmul(recorder, func, input, other):
    return _dense(recorder, lambda h, weight, _: func(h, weight), input, other, None, transposed=True)


def _inner(recorder, func, input, other):
    return _dense(recorder, lambda h, weight, _: func(h, weight), input, other, None, transposed=False)


def _tensordot(recorder, func, a, b, dims=2, out=None):  # which torch passes on
    if not isinstance(dims, int) or dims != 1 or out is not None:
        return NotImplemented
    return _dense(recorder, lambda h, weight, _: func(h, weight, dims), a, b, None, transposed=True)


def _einsum(recorder, func, equation, *operands):
    """h Wᵀ or h W in the form "...i,oi->...o" or "ni,io->no", spaces aside; no other."""
    names = isinstance(equation, str) and DENSE_EQUATION.fullmatch(equation.replace(" ", ""))
    if not names or len(operands) != 2:
        return NotImplemented
    h, weight = operands
    others, summed, rows, columns, result = names.groups()
    transposed = rows == summed
    kept = columns if transposed else rows
    known = summed in (rows, columns) and kept != summed and summed not in others and result == others + kept
    if not known or h.shape[-1] != weight.shape[0 if transposed else 1]:  # it broadcasts axes of one entry
        return NotImplemented
    return _dense(recorder, lambda h, weight, _: func(equation, h, weight), h, weight, None, transposed=transposed)


def _convolution(recorder, func, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    w, b, axes = recorder.reference(weight), recorder.reference(bias), weight.dim() - 2
    unknown = w and (w.transposed or w.reshaped)
    if (w is None and b is None) or unknown or input.dim() != axes + 2 or not recorder.is_batch(input, w or b):
        return NotImplemented
    h = input.contiguous(memory_format=torch.channels_last) if _is_faster_channels_last(input) else input
    z = func(h, detached(w, weight), detached(b, bias), stride, padding, dilation, groups)
    z, edge = recorder.record(z, input if w else None)
    if w:
        stride, dilation = _per_axis(stride, axes), _per_axis(dilation, axes)
        margins = _margins(padding, weight.shape[2:], dilation)
        geometry = {"stride": stride, "padding": margins, "dilation": dilation, "groups": groups}
        recorder.uses.append(ConvolutionUse(**described(w, z, edge), inputs=input.detach(), **geometry))
    if b:
        recorder.uses.append(SumUse(**described(b, z, edge), broadcast=(len(bias),) + (1,) * axes))
    return z


def _is_faster_channels_last(h: Tensor) -> bool:
    """On a CPU, float32 convolutions go backward twice as fast so: the library reorders no images then."""
    return h.dim() == 4 and h.dtype == torch.float32 and h.device.type == "cpu"


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
    if w is None or not w.is_matrix or w.transposed or scale_grad_by_freq or not recorder.is_batch(input, w):
        return NotImplemented
    z, edge = recorder.record(func(input, weight.detach(), padding_idx), input)
    padding = padding_idx if padding_idx is None or padding_idx >= 0 else padding_idx + len(weight)
    recorder.uses.append(EmbeddingUse(**described(w, z, edge), inputs=input, padding_index=padding))
    return z


HANDLERS: dict[Callable, Callable] = {
    F.linear: _linear,
    torch.addmm: _addmm,
    **dict.fromkeys((torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__), _matmul),
    **dict.fromkeys((torch.inner, Tensor.inner), _inner),
    torch.tensordot: _tensordot,
    torch.einsum: _einsum,
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _convolution),
    F.pad: _pad,
    F.embedding: _embedding,
}
