"""Optimizers that evaluate the loss several times in a step, such as LBFGS."""

import pytest

from orthontk.callbacks import Tau
from orthontk.loggers import read_metrics


def test_what_is_measured_of_a_step_is_of_before_the_step(small, monkeypatch):
    """The first evaluation has the parameters that the update has not moved yet; further ones look at no test set."""
    looked_at = []
    original = Tau._above_on_test

    def looking(self, rows, module):
        looked_at.append(module.global_step)
        return original(self, rows, module)

    monkeypatch.setattr(Tau, "_above_on_test", looking)
    settings = ("callbacks=[ntk,tau]", "callbacks.ntk.steps=[]", "callbacks.tau.threshold=0.9", "trainer.max_steps=4")
    run = small("optimizer._target_=torch.optim.LBFGS", "optimizer.lr=1.0", *settings)
    assert run.code == 0, run.err
    assert looked_at == [1, 2, 3]
    rows, expected = (read_metrics(r.run_directory / "metrics.csv") for r in (run, small(*settings)))
    for name in ("train/loss", "train/accuracy"):
        assert rows[0][name] == pytest.approx(expected[0][name], rel=1e-6)
    assert "train/tau" not in rows[0]


def test_it_may_have_a_schedule(small):
    settings = ("schedule=step", "trainer.max_steps=1", "callbacks.ntk.steps=[]")
    run = small("optimizer._target_=torch.optim.LBFGS", *settings)
    assert run.code == 0, run.err
