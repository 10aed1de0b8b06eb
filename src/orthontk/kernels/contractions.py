"""From per-layer inputs h and gradients δ to a parameter's share of the kernel.

Rows run over (output, example): a share is (O, N₁, O, N₂), or (N₁, N₂) when only equal outputs count (`trace`).
"""

from torch import Tensor

from orthontk.kernels.uses import DenseUse


def gram(use1: DenseUse, use2: DenseUse, delta1: Tensor, delta2: Tensor, trace: bool) -> Tensor:
    """Share of a dense weight that is used once: (h·h') ∘ (δ·δ'); neither gradient is ever formed.

    For W in z = W h, ⟨δ hᵀ, δ' h'ᵀ⟩ = (h·h')(δ·δ') (Novak et al. 2022, §3.2).
    """
    inputs = (use1.inputs @ use2.inputs.mT).mul_(use1.scale**2)  # (N1, N2)
    return inner_products(delta1, delta2, trace).mul_(inputs if trace else inputs[:, None, :])


def inner_products(gradients1: Tensor, gradients2: Tensor, trace: bool) -> Tensor:
    """Σ_θ g₁ g₂ for gradients (O, N, …): (O, N₁, O, N₂), or summed over equal outputs, (N₁, N₂)."""
    if trace:
        left, right = (g.flatten(2).transpose(0, 1).flatten(1) for g in (gradients1, gradients2))  # (N, O·P)
        return left @ right.mT
    left, right = (g.flatten(2).flatten(0, 1) for g in (gradients1, gradients2))  # (O·N, P)
    return (left @ right.mT).unflatten(1, gradients2.shape[:2]).unflatten(0, gradients1.shape[:2])
