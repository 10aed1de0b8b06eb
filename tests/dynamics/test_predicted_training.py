"""Predicted training against the training of a model that is linear in its parameters, step by step by torch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_model import N, train

from orthontk.dynamics import CrossEntropyTraining, MSETraining, cross_entropy, largest_stable_lr, mse
from orthontk.dynamics.momentum import residual_after


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("fraction", [0.1, 0.9])
def test_mse_is_torch_sgd(problem, momentum, fraction):
    features, f0, targets, arguments = problem
    lr = fraction * largest_stable_lr(arguments[0], momentum=momentum)
    actual = train(features, f0, targets, mse, 40, lr, momentum)
    predicted = MSETraining(*arguments).gradient_descent(range(41), lr, momentum)
    assert torch.allclose(predicted.train, actual[:, :N], atol=1e-10)
    assert torch.allclose(predicted.test, actual[:, N:], atol=1e-10)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_cross_entropy_is_torch_sgd(problem, momentum):
    features, f0, targets, arguments = problem
    actual = train(features, f0, targets, cross_entropy, 30, 0.3, momentum)
    predicted = CrossEntropyTraining(*arguments).gradient_descent([0, 7, 30], 0.3, momentum)
    assert torch.allclose(predicted.train, actual[[0, 7, 30], :N], atol=1e-11)
    assert torch.allclose(predicted.test, actual[[0, 7, 30], N:], atol=1e-11)


def test_flow_is_the_limit_of_small_steps(problem):
    arguments = problem[3]
    for training in (MSETraining(*arguments), CrossEntropyTraining(*arguments)):
        flow = training.gradient_flow([0.0, 0.1, 0.4])
        errors = []
        for steps in (400, 800):
            descent = training.gradient_descent([0, steps // 4, steps], lr=0.4 / steps)
            errors.append(max(float((d - f).abs().max()) for d, f in zip(descent, flow, strict=True)))
        assert errors[0] < 0.02
        assert errors[1] / errors[0] == pytest.approx(0.5, abs=0.05)


def test_cross_entropy_flow_keeps_a_linear_invariant(problem):
    """Two inputs with one shared scalar kernel move alike: f(x₁) − f(x₂) is constant."""
    targets = problem[2][:2]
    training = CrossEntropyTraining(torch.ones(2, 2), problem[1][:2], targets)
    outputs = training.gradient_flow([0.0, 1.0, 50.0]).train
    assert torch.allclose(outputs[:, 0] - outputs[:, 1], (problem[1][0] - problem[1][1]).expand(3, -1), atol=1e-6)


def test_mse_ends_at_kernel_regression(problem):
    """t = ∞ with a kernel per output: f(x) = f₀(x) + K_* K⁻¹(y − f₀)."""
    kernel = problem[0][:, 0] @ problem[0][:N, 0].mT  # (N+M, N)
    k, k_test, f0 = kernel[:N], kernel[N:], problem[1]
    flow = MSETraining(k, f0[:N], problem[2], k_test, f0[N:]).gradient_flow([0.0, 1e9])
    assert torch.allclose(flow.train[0], f0[:N]) and torch.allclose(flow.test[0], f0[N:])
    assert torch.allclose(flow.train[1], problem[2], atol=1e-9)
    assert torch.allclose(flow.test[1], f0[N:] + k_test @ torch.linalg.solve(k, problem[2] - f0[:N]), atol=1e-8)


@settings(max_examples=60, deadline=None)
@given(curvature=st.floats(0, 5), momentum=st.floats(0, 0.99), steps=st.integers(0, 60))
def test_momentum_closed_form_is_its_recursion(curvature, momentum, steps):
    before = now = 1.0
    largest = 1.0
    for _ in range(steps):
        before, now = now, (1 + momentum - curvature) * now - momentum * before
        largest = max(largest, abs(now))
    closed = residual_after(
        torch.tensor([[float(steps)]], dtype=torch.float64), torch.tensor([curvature], dtype=torch.float64), momentum
    )
    assert float(closed) == pytest.approx(now, abs=1e-8 * largest, rel=1e-6)


@pytest.mark.parametrize("momentum", [0.25, 0.81])
def test_critical_damping(momentum):
    """κ = (1−√β)² makes both roots √β: r_t = √βᵗ(1 + t(1−√β))."""
    root = math.sqrt(momentum)
    t = torch.tensor([[0.0], [1.0], [10.0]], dtype=torch.float64)
    closed = residual_after(t, torch.tensor([(1 - root) ** 2], dtype=torch.float64), momentum)
    assert torch.allclose(closed, root**t * (1 + t * (1 - root)), rtol=1e-6)


def test_the_first_moment_of_a_flow_under_cross_entropy_is_its_start(problem):
    """LSODA finds no first step of 1e-200."""
    made = CrossEntropyTraining(*problem[3])
    assert torch.allclose(made.gradient_flow([1e-200]).train, made.gradient_flow([0.0]).train)
