"""One mode under heavy-ball momentum, in closed form (Polyak 1964)."""

import torch
from torch import Tensor

from orthontk.checks import number


def check_momentum(value: float) -> float:
    """`value`, if it is in [0, 1); otherwise InvalidValue."""
    return number("momentum", value, minimum=0, below=1)


def residual_after(steps: Tensor, curvature: Tensor, momentum: float) -> Tensor:
    """r_t/r_0 for r_{t+1} = p·r_t − β·r_{t−1}, p = 1 + β − κ, r_{−1} = r_0 (no velocity at first).

    With S_t = β^{t/2} U_t(p/2√β), U_t the Chebyshev polynomials of the second kind, r_t/r_0 = S_t − β S_{t−1}.

    Args:
        steps: (T, 1), numbers of steps t.
        curvature: (modes,), κ = η·2λ/N.
        momentum: β in [0, 1).

    Returns:
        (T, modes).

    >>> residual_after(torch.tensor([[0.0], [3.0]]), torch.tensor([0.5]), 0.0)
    tensor([[1.0000],
            [0.1250]])
    """
    if momentum == 0:
        return (1 - curvature) ** steps
    p = 1 + momentum - curvature
    return _second_kind(steps, p, momentum) - momentum * _second_kind(steps - 1, p, momentum)


def _second_kind(t: Tensor, p: Tensor, momentum: float) -> Tensor:
    """S_t = (μ₁^{t+1} − μ₂^{t+1})/(μ₁ − μ₂) for the roots of μ² − pμ + β, without cancellation where they meet."""
    discriminant = p**2 - 4 * momentum
    root = discriminant.abs().sqrt()
    angle = torch.atan2(root, p)  # complex roots √β·exp(±i·angle)
    oscillating = momentum ** (t / 2) * torch.sin((t + 1) * angle) / torch.sin(angle)
    larger = (p.abs() + root) / 2
    gap = torch.log(larger**2 / momentum)  # log |μ₁/μ₂|
    decaying = torch.where(p < 0, -1.0, 1.0) ** t * larger**t * torch.expm1(-(t + 1) * gap) / torch.expm1(-gap)
    equal = (t + 1) * (p / 2) ** t
    # A sine of a tiny angle is exact, so only roots equal to rounding need the limit.
    return torch.where(root == 0, equal, torch.where(discriminant < 0, oscillating, decaying))
