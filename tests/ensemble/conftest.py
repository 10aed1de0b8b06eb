"""Fixtures of the tests of ensembles."""

import pytest


@pytest.fixture
def plan(monkeypatch):
    """Force how replicas are stacked, which is measured otherwise."""
    from orthontk.ensemble.plan import Plan

    def force(chunk, batched):
        monkeypatch.setattr("orthontk.ensemble.plan.new_plan", lambda *work: Plan(chunk, batched, {}))

    return force
