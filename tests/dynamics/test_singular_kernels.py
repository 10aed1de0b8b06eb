"""What a singular kernel cannot see, it neither learns nor moves, whatever rounding makes of its zeros."""

import math

import pytest
import torch
from linear_model import N, train

from orthontk.dynamics import MSETraining, mse
from orthontk.dynamics.blocks import as_matrix


def test_singular_kernels_leave_what_they_cannot_see(problem):
    features, f0, targets, _ = problem
    low = features[..., :2]  # 2 parameters for 18 outputs
    kernel = torch.einsum("iap,jbp->ijab", low, low[:N])
    predicted = MSETraining(kernel[:N], f0[:N], targets, kernel[N:], f0[N:]).gradient_descent([0, 500], 0.05)
    actual = train(low, f0, targets, mse, 500, 0.05, 0.0)
    assert torch.allclose(predicted.train[1], actual[-1, :N], atol=1e-9)
    assert torch.allclose(predicted.test[1], actual[-1, N:], atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_singular_kernel_keeps_what_it_cannot_learn(dtype):
    """Rounding puts eigenvalues that are 0 on either side of it; below 0 they would grow for ever."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    targets, f0 = torch.randn(20, 1, generator=generator, dtype=torch.float64), torch.zeros(20, 1)
    learned = features @ torch.linalg.lstsq(features, targets).solution
    training = MSETraining((features @ features.mT).to(dtype), f0, targets)
    late = training.gradient_flow([1e4, math.inf]).train
    assert late[1].isfinite().all()
    if dtype == torch.float64:
        torch.testing.assert_close(late, learned.expand(2, 20, 1), rtol=1e-9, atol=1e-9)
    for momentum in (0.0, 0.9):
        steps = training.gradient_descent([10**9], lr=0.1, momentum=momentum).train
        assert (steps - targets).norm() <= targets.norm() * (1 + 1e-12)


@pytest.mark.parametrize("outputs", ["full", "trace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_a_singular_kernel_cannot_learn_moves_no_input(dtype, outputs):
    """An image twice, with two labels: along their difference a kernel is zero, and its rounding may have any sign."""
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        features = torch.randn(24, 3, 80, generator=generator, dtype=torch.float64)
        features[19] = features[0]
        targets = torch.randn(20, 3, generator=generator, dtype=torch.float64)
        full = torch.einsum("iap,jbp->ijab", features, features[:20])
        kernel = (full if outputs == "full" else full.diagonal(dim1=2, dim2=3).mean(-1)).to(dtype)
        kernel *= 1 + torch.finfo(dtype).eps * (torch.rand(kernel.shape, generator=generator) - 0.5)
        f0 = torch.zeros(24, 3)
        late = MSETraining(kernel[:20], f0[:20], targets, kernel[20:], f0[20:]).gradient_flow([math.inf])
        matrix, test_matrix = (as_matrix(part).double() for part in (kernel[:20], kernel[20:]))
        dual = torch.linalg.pinv(matrix, rtol=1e-5, hermitian=True) @ targets.reshape(len(matrix), -1)
        torch.testing.assert_close(late.train[0], (matrix @ dual).reshape(20, 3), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(late.test[0], (test_matrix @ dual).reshape(4, 3), rtol=1e-3, atol=1e-3)
