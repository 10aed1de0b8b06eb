"""Records, during a forward pass, where and how parameters are used.

Every torch function that the forward pass calls goes through `Recorder`. Where a parameter meets an operation of a
known kind, the operation is given a detached copy, its inputs are kept, and the place of its result z in the autograd
graph is noted. All other operations see the parameter itself. Hence a parameter that the outputs still depend on after
the pass has a use that was not recorded: exactly those are left to the fallback.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from orthontk.kernels.parameters import StandIns
from orthontk.kernels.uses import ConvolutionUse, DenseUse, SumUse, Use


@dataclass
class Reference:
    """A tensor that is a parameter, up to a factor and a transposition."""

    tensor: Tensor
    parameter: str
    shape: torch.Size
    scale: float = 1.0
    transposed: bool = False


class Recorder(TorchFunctionMode):
    """Collects the uses of the trainable stand-ins and the graph positions of the pre-activations they enter.

    Attributes:
        uses: one entry for each recorded use.
        edges: the positions of the z, to ask the autograd engine for ∂f/∂z.
    """

    def __init__(self, trainable: dict[str, Tensor], examples: int) -> None:
        super().__init__()
        self.examples = examples
        self.uses: list[Use] = []
        self.edges: list[GradientEdge] = []
        # Keyed by identity; the Reference holds the tensor, so that no other can take its address.
        self.references = {id(p): Reference(p, name, p.shape) for name, p in trainable.items()}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        handler = HANDLERS.get(func)
        result = handler(self, func, args, kwargs or {}) if handler else NotImplemented
        return func(*args, **(kwargs or {})) if result is NotImplemented else result

    def reference(self, tensor: object) -> Reference | None:
        return self.references.get(id(tensor)) if isinstance(tensor, Tensor) else None

    def derive(self, tensor: Tensor, origin: Reference, scale: float = 1.0, transposes: bool = False) -> Tensor:
        """Notes that `tensor` is `origin` times `scale`, transposed or not."""
        self.references[id(tensor)] = Reference(
            tensor, origin.parameter, origin.shape, origin.scale * scale, origin.transposed != transposes
        )
        return tensor

    def record(self, z: Tensor) -> tuple[Tensor, int]:
        """Notes z's place in the graph; returns what the network goes on with, and the index of δ = ∂f/∂z."""
        leaf = not z.requires_grad
        self.edges.append(get_gradient_edge(z.requires_grad_() if leaf else z))
        return z.clone() if leaf else z, len(self.edges) - 1  # an in-place activation may not write to a leaf

    def is_batch(self, *tensors: Tensor) -> bool:
        return all(tensor.dim() >= 2 and tensor.shape[0] == self.examples for tensor in tensors)


def _linear(recorder: Recorder, func: Callable, h: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool):
    """z = h Wᵀ + b, where `weight` is W, or Wᵀ if `transposed`; `func(h, weight, bias)` computes it."""
    w, b = recorder.reference(weight), recorder.reference(bias)
    if w is None or not recorder.is_batch(h) or weight.dim() != 2:
        return NotImplemented
    z, edge = recorder.record(func(h, weight.detach(), bias.detach() if b else bias))
    recorder.uses.append(DenseUse(w.parameter, w.shape, w.scale, edge, h.detach(), w.transposed != transposed))
    if b:
        recorder.uses.append(SumUse(b.parameter, b.shape, b.scale, edge, (z.dim() - 1,)))
    return z


def _on_linear(recorder, func, args, kwargs):
    def call(input, weight, bias=None):
        return _linear(recorder, func, input, weight, bias, transposed=False)

    return call(*args, **kwargs)


def _on_addmm(recorder, func, args, kwargs):
    def call(input, mat1, mat2, *, beta=1, alpha=1):
        w, b = recorder.reference(mat2), recorder.reference(input)
        if w is None or (b is not None and b.shape != mat2.shape[1:]):
            return NotImplemented
        first_use = len(recorder.uses)
        z = _linear(recorder, lambda h, w, b: func(b, h, w, beta=beta, alpha=alpha), mat1, mat2, input, transposed=True)
        for use in recorder.uses[first_use:]:
            use.scale *= alpha if isinstance(use, DenseUse) else beta
        return z

    return call(*args, **kwargs)


def _on_matmul(recorder, func, args, kwargs):
    def call(input, other):
        return _linear(recorder, lambda h, w, _: func(h, w), input, other, None, transposed=True)

    return call(*args, **kwargs)


def _on_convolution(recorder, func, args, kwargs):
    def call(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        w, b = recorder.reference(weight), recorder.reference(bias)
        spatial = weight.dim() - 2
        if w is None or input.dim() != spatial + 2 or not recorder.is_batch(input) or w.transposed:
            return NotImplemented
        z = func(input, weight.detach(), bias.detach() if b else bias, stride, padding, dilation, groups)
        z, edge = recorder.record(z)
        stride, dilation = _per_axis(stride, spatial), _per_axis(dilation, spatial)
        margins = _margins(padding, weight.shape[2:], dilation)
        recorder.uses.append(
            ConvolutionUse(w.parameter, w.shape, w.scale, edge, input.detach(), stride, margins, dilation, groups)
        )
        if b:
            recorder.uses.append(SumUse(b.parameter, b.shape, b.scale, edge, (1,)))
        return z

    return call(*args, **kwargs)


def _per_axis(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _margins(padding, kernel, dilation) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each spatial axis; `same` puts the odd one after, as torch does."""
    if padding == "valid":
        padding = 0
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return tuple((total // 2, total - total // 2) for total in totals)
    return tuple((p, p) for p in _per_axis(padding, len(kernel)))


def _on_transpose(recorder, func, args, kwargs):
    origin = recorder.reference(args[0])
    if origin is None or args[0].dim() != 2 or len(args) > 2:
        return NotImplemented
    return recorder.derive(func(*args, **kwargs), origin, transposes=True)


def _on_multiply(recorder, func, args, kwargs):
    if len(args) != 2 or kwargs:
        return NotImplemented
    tensor, factor = args if isinstance(args[0], Tensor) else args[::-1]
    origin = recorder.reference(tensor)
    if origin is None or not isinstance(factor, int | float):
        return NotImplemented
    return recorder.derive(func(*args), origin, scale=float(factor))


HANDLERS: dict[Callable, Callable] = {
    F.linear: _on_linear,
    torch.addmm: _on_addmm,
    torch.matmul: _on_matmul,
    torch.mm: _on_matmul,
    Tensor.matmul: _on_matmul,
    Tensor.__matmul__: _on_matmul,
    Tensor.mm: _on_matmul,
    torch.conv1d: _on_convolution,
    torch.conv2d: _on_convolution,
    torch.conv3d: _on_convolution,
    Tensor.t: _on_transpose,
    torch.t: _on_transpose,
    Tensor.T.__get__: _on_transpose,
    Tensor.mT.__get__: _on_transpose,
    torch.mul: _on_multiply,
    Tensor.mul: _on_multiply,
    Tensor.__mul__: _on_multiply,
    Tensor.__rmul__: _on_multiply,
}


@dataclass
class Record:
    """A forward pass: outputs (N, O), the uses, and the parameters with a use that was not recorded."""

    outputs: Tensor
    uses: list[Use]
    edges: list[GradientEdge]
    unrecorded: set[str]


def record(net: nn.Module, tensors: StandIns, x: Tensor) -> Record:
    """Runs net(x) and records how it uses its trainable parameters."""
    with Recorder(tensors.trainable, len(x)) as recorder:
        outputs = tensors.call(net, x)
    reached = _leaves(outputs)
    unrecorded = {name for name, p in tensors.trainable.items() if id(p) in reached}
    return Record(outputs, recorder.uses, recorder.edges, unrecorded)


def _leaves(outputs: Tensor) -> set[int]:
    """Identities of the leaf tensors that the outputs depend on."""
    nodes, seen, leaves = [outputs.grad_fn], set(), set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            leaves.add(id(variable))
        nodes.extend(parent for parent, _ in node.next_functions)
    return leaves
