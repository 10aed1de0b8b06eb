"""∂f/∂z for all examples and outputs at once, z being the recorded pre-activations."""

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge


def cotangents(outputs: str, examples: int, features: int, like: Tensor) -> Tensor:  # (O or 1, N, O)
    """The directions in output space whose gradients a kernel needs."""
    if outputs == "sum_of_logits":
        return like.new_full((1, examples, features), features**-0.5)
    return torch.eye(features, dtype=like.dtype, device=like.device).unsqueeze(1).expand(-1, examples, -1)


def output_gradients(outputs: Tensor, edges: list[GradientEdge], directions: Tensor) -> list[Tensor | None]:
    """δ = ∂f/∂z for each edge, (O, N, *z.shape[1:]); None where the outputs do not depend on z.

    Examples do not interact, so the gradient of Σᵢ fₐ(xᵢ) with respect to z holds every example's own.
    """
    if not edges or not outputs.requires_grad:
        return [None] * len(edges)
    return list(torch.autograd.grad(outputs, edges, directions, is_grads_batched=True, allow_unused=True))
