"""Which kernels, times, steps and momenta a prediction is made for, and how others are refused."""

import math

import pytest
import torch
from linear_model import OUTPUTS, M, N

from orthontk.checks import InvalidValue
from orthontk.dynamics import CrossEntropyTraining, MSETraining, largest_stable_lr


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
        ("test_f0", {"test_f0": None}),
    ],
)
def test_every_axis_has_to_fit(training, name, shapes):
    fitting = {"kernel": (5, 5), "f0": (5, 2), "targets": (5, 2), "test_kernel": (3, 5), "test_f0": (3, 2)}
    with pytest.raises(InvalidValue, match=f"^{name}="):
        training(**{argument: shape and torch.ones(shape) for argument, shape in (fitting | shapes).items()})


def test_kernels_that_have_no_eigenvalues_are_refused():
    infinite = torch.tensor([[1.0, math.nan], [math.nan, 1.0]])
    for kernel in (torch.ones(2, 3), torch.ones(2, 3, 2, 2), torch.ones(0, 0), infinite):
        with pytest.raises(InvalidValue, match=r"^kernel="):
            largest_stable_lr(kernel)
    for training in (MSETraining, CrossEntropyTraining):
        with pytest.raises(InvalidValue, match=r"^kernel=.*finite"):
            training(infinite, torch.zeros(2, 1), torch.zeros(2, 1))


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


@pytest.mark.parametrize("training", [MSETraining, CrossEntropyTraining])
def test_steps_may_be_a_tensor(problem, training):
    training = training(*problem[3])
    assert torch.equal(
        training.gradient_descent(torch.tensor([3, 0]), 0.1).train, training.gradient_descent([3, 0], 0.1).train
    )
