"""∂f/∂z for all examples and directions in output space, z being the recorded results of parametrized operations."""

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import GradientEdge, Node

from orthontk.kernels.forward import Record
from orthontk.kernels.graph import graph_nodes
from orthontk.kernels.padding import CircularPad

# Autograd nodes that PyTorch takes backward for all directions together at least as fast as in turn. Under `vmap` the
# backward passes of convolutions, pooling and GroupNorm take twice to four times as long as one pass for each
# direction; `benchmarks/ntk_backward.py` measures them.
_NAMES = """Add Addmm Alias Clone Div Elu Erf Exp Expand Gelu LeakyRelu Log LogSoftmax Mean Mm Mul NativeLayerNorm Neg
Permute Pow Relu Reshape Rsqrt Select Sigmoid Silu Slice Softmax Softplus Squeeze Sub Sum T Tanh Threshold Transpose
UnsafeView Unsqueeze View"""
BATCHED_WELL = frozenset(["AccumulateGrad", *(f"{name}Backward" for name in _NAMES.split())])
# On a GPU what counts is the number of operations: also those whose rule only makes one operation of many.
_NAMES_ON_GPU = "AdaptiveAvgPool2D AvgPool2D CircularPad ConstantPadNd Convolution NativeBatchNorm NativeGroupNorm"
BATCHED_ON_GPU = BATCHED_WELL | {f"{name}Backward" for name in _NAMES_ON_GPU.split()}

COPIES = 3  # of the largest tensor, which a pass holds at a time
COPIES_OF_CONVOLUTIONS = 7  # of those that go backward for all directions at once: cuDNN rearranges them besides


def cotangents(outputs: str, examples: int, features: int, like: Tensor) -> Tensor:  # (A, N, O)
    """The directions in output space whose gradients a kernel needs: A = O, or 1 for `sum_of_logits`."""
    if outputs == "sum_of_logits":
        return like.new_full((1, examples, features), features**-0.5)
    return torch.eye(features, dtype=like.dtype, device=like.device).unsqueeze(1).expand(-1, examples, -1)


def output_gradients(record: Record, directions: Tensor) -> list[Tensor | None]:
    """δ = ∂f/∂z for each edge, (N, A, *z.shape[1:]); None where the outputs do not depend on z.

    Examples do not interact, so the gradient of Σᵢ fₐ(xᵢ) with respect to z holds every example's own.
    """
    if not record.outputs.requires_grad:
        return [None] * len(record.edges)
    nodes = set(graph_nodes(record.outputs.grad_fn))
    reached = [index for index, edge in enumerate(record.edges) if edge.node in nodes]
    edges = [record.edges[index] for index in reached]
    compute = _all_at_once if batches_well(record.outputs) else _in_turn
    found = dict(zip(reached, compute(record.outputs, edges, directions), strict=True)) if edges else {}
    return [found.get(index) for index in range(len(record.edges))]


def _all_at_once(outputs: Tensor, edges: list[GradientEdge], directions: Tensor) -> list[Tensor]:
    # `is_grads_batched=True` would go through the legacy vmap, which loops even over tanh.
    together = [*torch.func.vmap(lambda v: torch.autograd.grad(outputs, edges, v, retain_graph=True))(directions)]
    together.reverse()
    return [together.pop().transpose(0, 1).contiguous() for _ in edges]  # each freed as soon as it is copied


def _in_turn(outputs: Tensor, edges: list[GradientEdge], directions: Tensor) -> list[Tensor]:
    deltas: list[Tensor] = []
    for a, direction in enumerate(directions):
        gradients = torch.autograd.grad(outputs, edges, direction, retain_graph=a + 1 < len(directions))
        if not deltas:
            deltas = [g.new_empty(len(g), len(directions), *g.shape[1:]) for g in gradients]
        for delta, gradient in zip(deltas, gradients, strict=True):
            delta[:, a] = gradient
    return deltas


def batches_well(outputs: Tensor) -> bool:
    """Whether every node of the outputs' graph is among those of its device, and none a user's own function."""
    kinds = {type(node) for node in graph_nodes(outputs.grad_fn)}
    if any(issubclass(kind, BackwardCFunction) and kind is not CircularPad._backward_cls for kind in kinds):
        return False
    return node_names(outputs.grad_fn) <= (BATCHED_ON_GPU if outputs.is_cuda else BATCHED_WELL)


def copies_of(outputs: Tensor, batched: bool) -> int:
    """How many tensors of the largest size a pass back from these outputs holds at a time for each direction."""
    together = batched and "ConvolutionBackward" in node_names(outputs.grad_fn)
    return COPIES_OF_CONVOLUTIONS if together else COPIES


def node_names(start: Node | None) -> set[str]:
    """The kinds of autograd nodes from `start` on."""
    return {type(node).__name__.rstrip("0123456789") for node in graph_nodes(start)}
