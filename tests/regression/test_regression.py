"""Kernel regression against fits made one by one."""

import math

import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.regression import kernel_regression


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    kernel = torch.exp(-(torch.cdist(x, x) ** 2) / 8)
    noise = torch.randn(14, 2, generator=generator, dtype=torch.float64)
    return kernel[:14, :14], x[:14, :2].sin() + 0.3 * noise, kernel[14:, :14]


def test_leave_one_out_is_fourteen_fits(problem):
    kernel, targets, test_kernel = problem
    shares = [1e-4, 1e-2, 1.0]
    fit = kernel_regression(kernel, targets, test_kernel, shares)
    for share, error in zip(shares, fit.leave_one_out, strict=True):
        ridge, errors, hits = share * float(kernel.trace()) / 14, [], []
        for i in range(14):
            rest = [j for j in range(14) if j != i]
            left = kernel[rest][:, rest] + ridge * torch.eye(13)
            predicted = kernel[i, rest] @ torch.linalg.solve(left, targets[rest])
            errors.append((targets[i] - predicted).square().sum())
            hits.append(float(predicted.argmax() == targets[i].argmax()))
        assert float(error) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-9)
        if error == fit.leave_one_out.min():
            assert fit.leave_one_out_accuracy == pytest.approx(sum(hits) / 14)
            assert fit.ridge == pytest.approx(ridge)
            expected = test_kernel @ torch.linalg.solve(kernel + ridge * torch.eye(14), targets)
            assert torch.allclose(fit.predictions, expected, atol=1e-9)


def test_noise_wants_a_ridge(problem):
    kernel, targets, test_kernel = problem
    assert kernel_regression(kernel, targets, test_kernel).ridge > 1e-3


def test_singular_kernels_are_fitted(problem):
    targets = problem[1] + 5
    fit = kernel_regression(torch.ones(14, 14), targets, torch.ones(1, 14))
    assert torch.allclose(fit.predictions[0], targets.mean(0), atol=0.1)


def test_a_zero_kernel_predicts_zero(problem):
    fit = kernel_regression(torch.zeros(14, 14), problem[1], torch.zeros(2, 14))
    assert torch.equal(fit.predictions, torch.zeros_like(fit.predictions))
    assert float(fit.leave_one_out.min()) == pytest.approx(float(problem[1].square().sum(1).mean()))


def test_a_single_output_has_no_accuracy(problem):
    """The largest of one prediction is always its own."""
    kernel, targets, test_kernel = problem
    assert math.isnan(kernel_regression(kernel, targets[:, :1], test_kernel).leave_one_out_accuracy)


def test_refusals(problem):
    kernel, targets, test_kernel = problem
    for ridges in ([0.0], [], [1.0, math.nan], [math.inf]):
        with pytest.raises(InvalidValue, match=r"ridges=.*above 0"):
            kernel_regression(kernel, targets, test_kernel, ridges)
    with pytest.raises(InvalidValue, match="kernel"):
        kernel_regression(kernel, targets[:3], test_kernel)
    for no_outputs in (targets[:, 0], targets[0, 0]):  # such as class labels
        with pytest.raises(InvalidValue, match=r"^targets=\(.*expected \(N, O\)"):
            kernel_regression(kernel, no_outputs, test_kernel)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_kernels_that_are_not_finite_are_refused(problem, bad):
    kernel, targets, test_kernel = problem
    for which in range(3):
        arguments = [kernel.clone(), targets.clone(), test_kernel.clone()]
        arguments[which][0, 0] = bad
        with pytest.raises(InvalidValue, match="NaN or infinity"):
            kernel_regression(*arguments)


def test_a_kernel_of_no_inputs_is_refused():
    with pytest.raises(InvalidValue, match="kernel="):
        kernel_regression(torch.zeros(0, 0), torch.zeros(0, 2), torch.zeros(3, 0))
