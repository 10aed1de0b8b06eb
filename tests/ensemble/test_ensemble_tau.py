"""τ of replicas, and replicas that end before the others, through the command."""

import math

import pytest
from ensemble_runs import EXACT, assert_curves_agree, curves, results, single_curve

from orthontk.files import read_json
from orthontk.loggers import read_metrics

TAU = ("callbacks=[ntk,tau]", "callbacks.ntk.steps=[]")


@pytest.mark.parametrize("batched", [True, False])
def test_tau_of_replicas_and_of_single_runs(small, plan, batched):
    plan(4, batched)
    settings = ("trainer.max_steps=40", *EXACT, *TAU, "callbacks.tau.threshold=0.5")
    settings = (*settings, "trainer.val_check_interval=40")
    run = small(*settings, "ensemble.seeds=2", "ensemble.learning_rates=[0.01,4]").run_directory
    found = results(run)
    assert found[0, "gaussian", 4.0]["train/tau"] > 0
    slow = found[0, "gaussian", 0.01]
    assert slow["train/censored"] == 1 and "train/tau" not in slow
    alone = small(*settings, "optimizer.lr=4").run_directory
    expected = read_json(alone / "summary.json")["metrics"]
    for name in ("train/tau", "train/censored", "test/tau", "test/censored"):
        assert expected.get(name) == found[0, "gaussian", 4.0].get(name), name
    groups = {group["learning_rate"]: group for group in read_json(run / "summary.json")["groups"]}
    assert groups[0.01]["train/tau"] == {"mean": None, "standard_error": None, "uncensored": 0, "censored": 2}


@pytest.mark.slow
@pytest.mark.parametrize("seen", [(1000,), (5, 9, 12)])
def test_tau_is_the_first_step_above_the_threshold(small, monkeypatch, seen):
    """Against accuracies logged at every step, and a test at every step; also by way of parts of the test set."""
    monkeypatch.setattr("orthontk.callbacks.tau.SEEN", seen)
    settings = ("trainer.max_steps=40", *TAU, "callbacks.tau.threshold=0.31", "optimizer.lr=8")
    run = small(*settings).run_directory
    rows = read_metrics(run / "metrics.csv")
    above = [row["step"] for row in rows if row.get("train/accuracy", 0) > 0.31]
    metrics = read_json(run / "summary.json")["metrics"]
    assert metrics["train/tau"] == above[0]
    tested = []
    for steps in range(1, int(metrics["test/tau"]) + 1):
        stopped = small("optimizer.lr=8", f"trainer.max_steps={steps}", "callbacks.ntk.steps=[]").run_directory
        tested.append(read_json(stopped / "summary.json")["metrics"]["test/accuracy"])
    assert tested[-1] > 0.31 and max(tested[:-1]) <= 0.31


def test_stopped_and_diverged_replicas_end(small, plan):
    """Those that are left go on as if the others had never been there."""
    plan(6, True)
    settings = (*EXACT, *TAU, "trainer.max_steps=60", "data.batch_size=full", "callbacks.tau.threshold=0.3", "loss=mse")
    rates = "ensemble.learning_rates=[0.001,2,1e300]"
    run = small(*settings, "ensemble.seeds=2", rates, "ensemble.stop=train_tau").run_directory
    found = results(run)
    for seed in (0, 1):
        slow, fast, diverged = (found[seed, "gaussian", rate] for rate in (0.001, 2.0, 1e300))
        assert slow["status"] == "finished" and slow["steps"] == 60
        assert fast["status"] == "stopped" and fast["steps"] == fast["train/tau"] + 1
        assert diverged["status"] == "diverged" and diverged["steps"] < 60 and diverged["train/censored"] == 1
    alone = small(*settings, "optimizer.lr=0.001", "callbacks.tau.test=false").run_directory  # which ends no replica
    assert_curves_agree(single_curve(alone), curves(run)[0, "gaussian", 0.001], 1e-10)
    for row in read_json(run / "summary.json")["groups"]:
        assert row["learning_rate"] < 1e300 or (row["diverged"] == 2 and row["test/loss"]["mean"] is None)


def test_what_ends_is_logged_at_its_last_minibatch(small):
    """Whatever is logged else: its train loss would be that of the network before training."""
    settings = (*EXACT, *TAU, "callbacks.tau.threshold=0.3", "optimizer.lr=8", "trainer.max_steps=40")
    settings = (*settings, "ensemble.seeds=2", "ensemble.stop=train_tau")
    every, once = (small(*settings, f"trainer.log_every_n_steps={steps}").run_directory for steps in (1, 1000))
    assert all(row["status"] == "stopped" and row["steps"] > 1 for row in results(every).values())
    for replica, row in results(once).items():
        assert row["train/accuracy"] > 0.3, replica
        assert row["train/loss"] == pytest.approx(results(every)[replica]["train/loss"], rel=1e-10)
        assert "train/loss" in curves(once)[replica][row["steps"] - 1]


@pytest.mark.parametrize("measured, other", [("train", "test"), ("test", "train")])
def test_the_tau_that_ends_no_replica_is_not_measured(small, measured, other):
    """It would be known of those replicas that reach it first."""
    settings = (
        *EXACT,
        *TAU,
        "callbacks.tau.threshold=0.3",
        "optimizer.lr=8",
        "trainer.max_steps=40",
        "ensemble.seeds=3",
    )
    run = small(*settings, f"ensemble.stop={measured}_tau", "figures=true").run_directory
    either = results(run)
    assert (run / "figures" / "tau.png").exists()
    both = results(small(*settings, "ensemble.stop=both").run_directory)
    for replica, row in either.items():
        assert row[f"{measured}/tau"] == both[replica][f"{measured}/tau"] is not None
        assert f"{other}/tau" not in row and f"{other}/censored" not in row and f"{other}/tau" in both[replica]


def test_a_replica_ends_as_a_single_run_that_diverges(small):
    settings = (*EXACT, "trainer.max_steps=30", "loss=mse", "optimizer.lr=1e30", "model.activation=relu")
    together = curves(small(*settings, "ensemble.seeds=2").run_directory)
    alone = single_curve(small(*settings).run_directory)
    assert any(not math.isfinite(row.get("train/loss", 0)) for row in alone.values())
    assert_curves_agree(alone, together[0, "gaussian", 1e30], 1e-8)
