"""Predicted training against the training of a model that is linear in its parameters, step by step by torch."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.dynamics import CrossEntropyTraining, MSETraining, cross_entropy, largest_stable_lr, mse
from orthontk.dynamics.blocks import as_matrix
from orthontk.dynamics.momentum import residual_after

N, M, P, OUTPUTS = 6, 4, 9, 3


class LinearModel(nn.Module):
    """f_a(x) = f0_a(x) + ∇_a(x)·θ with fixed features: its NTK is constant, and `full`."""

    def __init__(self, features, f0):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(features.shape[-1], dtype=torch.float64))
        self.features, self.f0 = features, f0

    def forward(self):
        return self.f0 + self.features @ self.theta


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N + M, OUTPUTS, P, generator=generator, dtype=torch.float64)
    f0 = torch.randn(N + M, OUTPUTS, generator=generator, dtype=torch.float64)
    targets = torch.eye(OUTPUTS, dtype=torch.float64)[torch.arange(N) % OUTPUTS]
    kernel = torch.einsum("iap,jbp->ijab", features, features[:N])
    return features, f0, targets, (kernel[:N], f0[:N], targets, kernel[N:], f0[N:])


def train(features, f0, targets, loss, steps, lr, momentum):
    model = LinearModel(features, f0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    outputs = [model().detach()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model()[:N], targets).backward()
        optimizer.step()
        outputs.append(model().detach())
    return torch.stack(outputs)


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


def test_singular_kernels_leave_what_they_cannot_see(problem):
    features, f0, targets, _ = problem
    low = features[..., :2]  # 2 parameters for 18 outputs
    kernel = torch.einsum("iap,jbp->ijab", low, low[:N])
    predicted = MSETraining(kernel[:N], f0[:N], targets, kernel[N:], f0[N:]).gradient_descent([0, 500], 0.05)
    actual = train(low, f0, targets, mse, 500, 0.05, 0.0)
    assert torch.allclose(predicted.train[1], actual[-1, :N], atol=1e-9)
    assert torch.allclose(predicted.test[1], actual[-1, N:], atol=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_largest_stable_rate_is_where_training_diverges(problem, momentum):
    training, limit = MSETraining(*problem[3][:3]), largest_stable_lr(problem[3][0], momentum=momentum)
    start, below, above = (
        mse(training.gradient_descent([t], lr, momentum).train, problem[2]).item()
        for t, lr in ((0, limit), (4000, 0.99 * limit), (4000, 1.01 * limit))
    )
    assert below < start < 1e3 * start < above


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


REFUSED = {"adam": "no largest", "RMSprop": "no largest", "cross_entropy": r"\(2 bounds it\)", 0.5: r"\(3 bounds it\)"}


@pytest.mark.parametrize("value", REFUSED)  # the bound of cross-entropy grows with momentum, as that of mse does
def test_undefined_rates_are_refused(value):
    named = {"cross_entropy": {"loss": value}, 0.5: {"loss": "cross_entropy", "momentum": value}}
    with pytest.raises(InvalidValue, match=REFUSED[value]):
        largest_stable_lr(torch.diag(torch.tensor([4.0, 1.0])), **named.get(value, {"optimizer": value}))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InvalidValue, match="kernel"):
        MSETraining(torch.eye(3), torch.zeros(2, 1), torch.zeros(2, 1))
    with pytest.raises(InvalidValue, match="together"):
        CrossEntropyTraining(torch.eye(2), torch.zeros(2, 1), torch.zeros(2, 1), torch.eye(2))


@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("f0", {"f0": (5, 1)}),
        ("f0", {"f0": (5,), "targets": (5,)}),
        ("kernel", {"kernel": (5, 5, 3, 3)}),
        ("kernel", {"kernel": (5, 4)}),
        ("kernel", {"kernel": (5, 5, 2)}),
        ("test_kernel", {"test_kernel": (3, 5, 3, 3)}),
        ("test_kernel", {"test_kernel": (3, 4)}),
        ("test_kernel", {"kernel": (5, 5, 2, 2)}),  # one full, one of each output
        ("test_f0", {"test_f0": (3, 1)}),
        ("test_f0", {"test_f0": (2, 2)}),
    ],
)
def test_every_axis_has_to_fit(training, name, shapes):
    fitting = {"kernel": (5, 5), "f0": (5, 2), "targets": (5, 2), "test_kernel": (3, 5), "test_f0": (3, 2)}
    with pytest.raises(InvalidValue, match=f"^{name}="):
        training(**{argument: torch.ones(shape) for argument, shape in (fitting | shapes).items()})


@pytest.mark.parametrize("momentum", [-0.5, 1.0, 1.5, math.nan])
def test_momentum_is_from_0_to_1(problem, momentum):
    arguments = problem[3]
    for call in (
        lambda: MSETraining(*arguments).gradient_descent([1], 0.1, momentum),
        lambda: CrossEntropyTraining(*arguments).gradient_descent([1], 0.1, momentum),
        lambda: largest_stable_lr(arguments[0], momentum=momentum),
        lambda: largest_stable_lr(torch.zeros(3, 3), momentum=momentum),
    ):
        with pytest.raises(InvalidValue, match=r"^momentum="):
            call()


@pytest.mark.parametrize("times", [[math.nan], [0.0, -1.0], [[0.0], [1.0]]])
@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_times_before_the_start_are_refused(problem, training, times):
    with pytest.raises(InvalidValue, match=r"^times=.*number of at least 0"):
        training(*problem[3]).gradient_flow(times)


def test_a_flow_under_cross_entropy_is_not_followed_for_ever(problem):
    with pytest.raises(InvalidValue, match=r"^times=.*finite"):
        CrossEntropyTraining(*problem[3]).gradient_flow([0, math.inf])


@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_times_may_repeat_and_come_in_any_order(problem, training):
    """The start alone, too."""
    training = training(*problem[3])
    assert torch.allclose(training.gradient_flow([0.0]).train[0], problem[1][:N])
    at = training.gradient_flow([0.0, 0.5, 2.0]).train
    assert torch.allclose(training.gradient_flow([2.0, 0.0, 0.5, 2.0, 0.0]).train, at[[2, 0, 1, 2, 0]])


@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_no_times_are_no_predictions(problem, training):
    for prediction in (training(*problem[3]).gradient_descent([], 0.1), training(*problem[3]).gradient_flow([])):
        assert prediction.train.shape == (0, N, OUTPUTS) and prediction.test.shape == (0, M, OUTPUTS)


@pytest.mark.parametrize("steps", [[-1, 2], [1.5], [math.inf], [[1]], [True]])
@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_steps_are_integers_of_at_least_0(problem, training, steps):
    with pytest.raises(InvalidValue, match=r"^steps=.*at least 0"):
        training(*problem[3]).gradient_descent(steps, 0.1)


@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_one_time_needs_no_sequence(problem, training):
    made = training(*problem[3])
    assert torch.equal(made.gradient_flow(2.0).train, made.gradient_flow([2.0]).train)
    assert torch.equal(made.gradient_descent(torch.tensor(3), 0.1).train, made.gradient_descent([3], 0.1).train)


def test_the_first_moment_of_a_flow_under_cross_entropy_is_its_start(problem):
    """LSODA finds no first step of 1e-200."""
    made = CrossEntropyTraining(*problem[3])
    assert torch.allclose(made.gradient_flow([1e-200]).train, made.gradient_flow([0.0]).train)


@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_steps_may_be_a_tensor(problem, training):
    training = training(*problem[3])
    assert torch.equal(
        training.gradient_descent(torch.tensor([3, 0]), 0.1).train, training.gradient_descent([3, 0], 0.1).train
    )


def test_a_kernel_that_moves_nothing_is_stable_at_any_rate():
    assert largest_stable_lr(torch.zeros(3, 3)) == math.inf
    assert largest_stable_lr(-torch.eye(2)) == math.inf


def test_kernels_that_have_no_eigenvalues_are_refused():
    infinite = torch.tensor([[1.0, math.nan], [math.nan, 1.0]])
    for kernel in (torch.ones(2, 3), torch.ones(2, 3, 2, 2), torch.ones(0, 0), infinite):
        with pytest.raises(InvalidValue, match=r"^kernel="):
            largest_stable_lr(kernel)
    for training in (MSETraining, CrossEntropyTraining):
        with pytest.raises(InvalidValue, match=r"^kernel=.*finite"):
            training(infinite, torch.zeros(2, 1), torch.zeros(2, 1))


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
