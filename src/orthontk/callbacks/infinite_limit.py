"""The kernels that a run's network has at infinite width, where it has any."""

import torch
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.init import SCHEMES
from orthontk.kernels import InfiniteKernels, infinite_kernels
from orthontk.kernels.infinite.gaussian import as_activation
from orthontk.kernels.infinite.layers import linear_steps
from orthontk.kernels.measures import relative_change
from orthontk.training import TrainingModule


def init_scheme(module: TrainingModule) -> str | None:
    """The scheme that the network was drawn by, if it is one of ours."""
    scheme = ((module.config or {}).get("init") or {}).get("scheme")
    return scheme if isinstance(scheme, str) and scheme in SCHEMES else None


def has_infinite_kernels(module: TrainingModule, scheme: str | None = None) -> bool:
    """Whether `infinite_kernels` knows the limit of this network under its initialization, or another scheme."""
    scheme = scheme or init_scheme(module)
    if scheme is None:
        return False
    try:
        linear_steps(module.network, scheme)
        for activation in module.network.activations:
            as_activation(activation)
    except InvalidValue:
        return False
    return True


def kernels_of_limit(
    module: TrainingModule, x1: Tensor, x2: Tensor | None = None, scheme: str | None = None
) -> InfiniteKernels:
    return infinite_kernels(module.network, x1, x2, init=scheme or init_scheme(module))


def is_quick(module: TrainingModule) -> bool:
    """Not so for `pool`, which needs the covariance of every pair of positions: minutes for a probe of images."""
    return getattr(module.network, "readout", None) != "pool"


def distance(theta: Tensor, limit: Tensor) -> float:
    """‖Θ − Θ∞⊗I‖_F / ‖Θ∞⊗I‖_F for Θ (N, N, O, O); without ⊗I for Θ (N, N). Θ∞ is (N, N).

    >>> round(distance(torch.eye(2).reshape(1, 1, 2, 2) * 1.5, torch.ones(1, 1)), 6)
    0.5
    """
    limit = limit.to(theta.device, torch.float64)
    if theta.dim() == 4:
        limit = limit[..., None, None] * torch.eye(theta.shape[-1], dtype=torch.float64, device=theta.device)
    return relative_change(theta, limit)
