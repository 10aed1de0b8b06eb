"""Fixtures of the tests of commands."""

from functools import partial

import pytest


@pytest.fixture
def recompute(run_module):
    """`recompute(RUN, …)` is `python -m orthontk.ntk`."""
    return partial(run_module, "orthontk.ntk", "--device", "cpu")


@pytest.fixture
def run(small):
    """A run's directory, with a checkpoint and a kernel at every second step."""
    return small("checkpoint.keep=all", "callbacks.ntk.steps=2", "init=orthogonal").run_directory
