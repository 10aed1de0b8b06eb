"""The largest stable learning rate: where it is, and where there is none."""

import math

import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.dynamics import MSETraining, largest_stable_lr, mse


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_largest_stable_rate_is_where_training_diverges(problem, momentum):
    training, limit = MSETraining(*problem[3][:3]), largest_stable_lr(problem[3][0], momentum=momentum)
    start, below, above = (
        mse(training.gradient_descent([t], lr, momentum).train, problem[2]).item()
        for t, lr in ((0, limit), (4000, 0.99 * limit), (4000, 1.01 * limit))
    )
    assert below < start < 1e3 * start < above


REFUSED = {"adam": "no largest", "RMSprop": "no largest", "cross_entropy": r"\(2 bounds it\)", 0.5: r"\(3 bounds it\)"}


@pytest.mark.parametrize("value", REFUSED)  # the bound of cross-entropy grows with momentum, as that of mse does
def test_undefined_rates_are_refused(value):
    named = {"cross_entropy": {"loss": value}, 0.5: {"loss": "cross_entropy", "momentum": value}}
    with pytest.raises(InvalidValue, match=REFUSED[value]):
        largest_stable_lr(torch.diag(torch.tensor([4.0, 1.0])), **named.get(value, {"optimizer": value}))


def test_a_kernel_that_moves_nothing_is_stable_at_any_rate():
    assert largest_stable_lr(torch.zeros(3, 3)) == math.inf
    assert largest_stable_lr(-torch.eye(2)) == math.inf
