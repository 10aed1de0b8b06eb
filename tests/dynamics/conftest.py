"""What tests of predicted training share."""

import pytest
import torch
from linear_model import OUTPUTS, M, N, P


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N + M, OUTPUTS, P, generator=generator, dtype=torch.float64)
    f0 = torch.randn(N + M, OUTPUTS, generator=generator, dtype=torch.float64)
    targets = torch.eye(OUTPUTS, dtype=torch.float64)[torch.arange(N) % OUTPUTS]
    kernel = torch.einsum("iap,jbp->ijab", features, features[:N])
    return features, f0, targets, (kernel[:N], f0[:N], targets, kernel[N:], f0[N:])
