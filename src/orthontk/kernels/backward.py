"""∂f/∂z for all examples and directions in output space, z being the recorded results of parametrized operations."""

import torch
from torch import Tensor

from orthontk.kernels.forward import Record

# Autograd nodes that PyTorch batches over directions without loops and without copies of their saved tensors. Under
# `vmap` a convolution's backward pass runs several times slower than one pass for each direction, and an operation
# without a batching rule falls back to a loop that also copies; `benchmarks/ntk_backward.py` has the measurements.
_NAMES = """Add Addmm Alias Clone Div Erf Exp Expand Gelu LeakyRelu Log Mean Mm Mul Neg Permute Pow Relu Reshape Select
Sigmoid Silu Slice Softplus Squeeze Sub Sum T Tanh Threshold Transpose Unsqueeze View"""
BATCHED_WELL = frozenset(["AccumulateGrad", *(f"{name}Backward" for name in _NAMES.split())])


def cotangents(outputs: str, examples: int, features: int, like: Tensor) -> Tensor:  # (A, N, O)
    """The directions in output space whose gradients a kernel needs: A = O, or 1 for `sum_of_logits`."""
    if outputs == "sum_of_logits":
        return like.new_full((1, examples, features), features**-0.5)
    return torch.eye(features, dtype=like.dtype, device=like.device).unsqueeze(1).expand(-1, examples, -1)


def output_gradients(record: Record, directions: Tensor) -> list[Tensor | None]:
    """δ = ∂f/∂z for each edge, (N, A, *z.shape[1:]); None where the outputs do not depend on z.

    Examples do not interact, so the gradient of Σᵢ fₐ(xᵢ) with respect to z holds every example's own.
    """
    if not record.edges or not record.outputs.requires_grad:
        return [None] * len(record.edges)
    arguments = {"inputs": record.edges, "allow_unused": True}
    if batches_well(record.outputs):
        together = torch.autograd.grad(record.outputs, grad_outputs=directions, is_grads_batched=True, **arguments)
        return [gradient if gradient is None else gradient.transpose(0, 1).contiguous() for gradient in together]
    deltas: list[Tensor | None] = [None] * len(record.edges)
    for a, direction in enumerate(directions):
        gradients = torch.autograd.grad(record.outputs, grad_outputs=direction, retain_graph=True, **arguments)
        for edge, gradient in enumerate(gradients):
            if gradient is None:
                continue
            if deltas[edge] is None:
                deltas[edge] = gradient.new_empty(len(gradient), len(directions), *gradient.shape[1:])
            deltas[edge][:, a] = gradient
    return deltas


def batches_well(outputs: Tensor) -> bool:
    """Whether every node of the outputs' graph is in `BATCHED_WELL`."""
    nodes, seen = [outputs.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__.rstrip("0123456789") not in BATCHED_WELL:
            return False
        nodes.extend(parent for parent, _ in node.next_functions)
    return True
