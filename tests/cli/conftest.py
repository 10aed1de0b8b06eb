"""Fixtures of the tests of commands."""

import runpy
import sys

import pytest


@pytest.fixture
def recompute(monkeypatch, capsys):
    """`recompute(RUN, …)` is `python -m orthontk.ntk` in this process; returns its exit code and what it printed."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["orthontk.ntk", "--device", "cpu", *map(str, arguments)])
        monkeypatch.delitem(sys.modules, "orthontk.ntk", raising=False)
        code = 0
        try:
            runpy.run_module("orthontk.ntk", run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        return code, capsys.readouterr()

    return call


@pytest.fixture
def run(small):
    """A run's directory, with a checkpoint and a kernel at every second step."""
    return small("checkpoint.keep=all", "callbacks.ntk.steps=2", "init=orthogonal").run_directory
