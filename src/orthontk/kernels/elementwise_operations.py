"""Parameters that are added to or multiply a batch, and tensors that are a parameter in another form."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from orthontk.kernels.recorder import aligned, described
from orthontk.kernels.uses import ProductUse, SumUse

ACTIVATIONS = (
    *(torch.tanh, Tensor.tanh, torch.sigmoid, Tensor.sigmoid, torch.erf, Tensor.erf, torch.relu, Tensor.relu),
    *(F.relu, F.leaky_relu, F.elu, F.gelu, F.silu, F.softplus),
)


def _elementwise_operands(recorder, input, other):
    """(h, θ as a tensor, its reference) of an elementwise operation of a batch and a parameter, else None."""
    for h, tensor in ((input, other), (other, input)):
        reference = recorder.reference(tensor)
        if reference is None or reference.transposed or not isinstance(h, Tensor) or recorder.reference(h):
            continue
        broadcasts = tensor.dim() < h.dim() or (tensor.dim() == h.dim() and tensor.shape[0] == 1)
        if h.dim() >= 2 and broadcasts and recorder.is_batch(h, reference):
            return h, tensor, reference
    return None


def _multiply(recorder, func, input, other):
    for tensor, factor in ((input, other), (other, input)):
        if isinstance(factor, int | float) and (origin := recorder.reference(tensor)):
            return recorder.derive(func(input, other), origin, scale=float(factor))
    if (found := _elementwise_operands(recorder, input, other)) is None:
        return NotImplemented
    h, tensor, reference = found
    z, edge = recorder.record(h * tensor.detach(), h)
    factor = h.detach().expand(z.shape)
    broadcast = aligned(tensor.shape, z)
    recorder.uses.append(
        ProductUse(**described(reference, z, edge), broadcast=broadcast, compute_factor=lambda: factor)
    )
    return z


def _add(recorder, func, input, other, *, alpha=1):
    if (found := _elementwise_operands(recorder, input, other)) is None:
        return NotImplemented
    h, tensor, reference = found
    if tensor is other:
        return _record_sum(recorder, torch.add(h, tensor.detach(), alpha=alpha), tensor, reference, alpha)
    return _record_sum(recorder, torch.add(tensor.detach(), h, alpha=alpha), tensor, reference)


def _subtract(recorder, func, input, other, *, alpha=1):
    return _add(recorder, func, input, other, alpha=-alpha)


def _record_sum(recorder, z, tensor, reference, scale=1.0):
    z, edge = recorder.record(z)
    recorder.uses.append(SumUse(**described(reference, z, edge, scale), broadcast=aligned(tensor.shape, z)))
    return z


def _write(recorder, func, input, other, **options):
    """θ is laid out for each example: autograd goes on from there, and keeps what a product writes over."""
    found = _elementwise_operands(recorder, input, other)
    if found is None or found[0] is not input:
        return NotImplemented
    h, tensor, reference = found
    return func(h, _record_sum(recorder, tensor.detach().expand_as(h), tensor, reference), **options)


def _expand(recorder, func, input, *sizes):
    """z = θ for each example, such as a class token."""
    reference = recorder.reference(input)
    if reference is None or reference.transposed:
        return NotImplemented
    z = func(input.detach(), *sizes)
    broadcasts = all(size in (1, length) for size, length in zip(input.shape[::-1], z.shape[::-1], strict=False))
    for_each = z.dim() > input.dim() or input.shape[:1] == (1,)
    if z.dim() < 2 or not (broadcasts and for_each and recorder.is_batch(z, reference)):
        return NotImplemented
    return _record_sum(recorder, z, input, reference)


def _prelu(recorder, func, input, weight):
    """z = max(h, 0) + θ ∘ min(h, 0), with one slope or one for each channel."""
    reference = recorder.reference(weight)
    if reference is None or reference.transposed or weight.dim() != 1 or not recorder.is_batch(input, reference):
        return NotImplemented
    slopes = (len(weight),) + (1,) * max(0, input.dim() - 2)
    z, edge = recorder.record(torch.where(input > 0, input, weight.detach().view(slopes) * input), input)
    h = input.detach()
    recorder.uses.append(
        ProductUse(
            **described(reference, z, edge),
            broadcast=aligned(torch.Size(slopes), z),
            compute_factor=lambda: h.clamp(max=0),
        )
    )
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
    recorder.note_merged(result, input)
    return result


def _activate(recorder, func, input, *args, **kwargs):
    """Row by row: what was merged still is."""
    if not isinstance(input, Tensor) or (unmerged := recorder.unmerged(input)) is None:
        return NotImplemented
    result = func(input, *args, **kwargs)
    recorder.note_merged(result, unmerged)
    return result


HANDLERS: dict[Callable, Callable] = {
    **dict.fromkeys((torch.mul, Tensor.mul, Tensor.__mul__, Tensor.__rmul__), _multiply),
    **dict.fromkeys((torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__), _add),
    **dict.fromkeys((torch.sub, Tensor.sub, Tensor.__sub__), _subtract),
    **dict.fromkeys((Tensor.add_, Tensor.__iadd__, Tensor.sub_, Tensor.__isub__), _write),
    **dict.fromkeys((Tensor.mul_, Tensor.__imul__), _write),
    **dict.fromkeys((Tensor.expand, Tensor.expand_as, Tensor.broadcast_to, torch.broadcast_to, Tensor.repeat), _expand),
    torch.prelu: _prelu,
    **dict.fromkeys((torch.div, Tensor.div, Tensor.__truediv__), _divide),
    **dict.fromkeys((torch.t, Tensor.t, Tensor.T.__get__, Tensor.mT.__get__), _transpose),
    **dict.fromkeys((torch.transpose, Tensor.transpose), _transpose),
    **dict.fromkeys((Tensor.view, Tensor.reshape, torch.reshape, Tensor.flatten, torch.flatten), _reshape),
    **dict.fromkeys((Tensor.unsqueeze, torch.unsqueeze), _reshape),
    **dict.fromkeys(ACTIVATIONS, _activate),
}
