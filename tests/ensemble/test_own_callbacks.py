"""A user's own callback has of a replica what it has of a single run, or is refused."""

from pathlib import Path

import pytest
from ensemble_runs import assert_curves_agree, curves, single_curve

HERE = Path(__file__).parent
SETTINGS = (
    "model=fcn",
    "model.width=8",
    "data.train_size=40",
    "data.val_size=0",
    "data.test_size=20",
    "data.batch_size=20",
    "figures=false",
    "logger=csv",
    "schedule=cosine",
    "trainer.precision=64-true",
    "trainer.max_steps=4",
    "callbacks=none",
    "+callbacks.own.steps=2",
)


@pytest.fixture
def own(train, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))

    def run(callback, *arguments):
        return train(*SETTINGS, f"+callbacks.own._target_=own_callbacks.{callback}", *arguments)

    return run


def test_the_rate_and_the_logger_are_the_replicas(own):
    ensemble = own("Rate", "ensemble.seeds=[0]", "ensemble.learning_rates=[0.1,0.3]")
    assert ensemble.code == 0, ensemble.err
    together = curves(ensemble.run_directory)[0, "gaussian", 0.3]
    alone = own("Rate", "optimizer.lr=0.3")
    assert "own/rate" in together[2]
    assert_curves_agree(single_curve(alone.run_directory), together, 1e-8)


@pytest.mark.parametrize("callback, hook", [("Counting", "on_train_batch_end"), ("Closing", "on_train_end")])
def test_a_hook_that_replicas_do_not_get_is_refused(own, callback, hook):
    refused = own(callback, "ensemble.seeds=2")
    assert refused.code == 1
    assert refused.err.startswith(
        f"error: callbacks.own._target_={callback}.{hook}: expected a callback that overrides no hooks "
    )
