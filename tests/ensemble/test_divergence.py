"""Trainings that diverge: noticed whatever is logged, never above a threshold, and no harm to other replicas."""

import math

import pytest
import torch

from orthontk.csv_rows import read_rows
from orthontk.files import read_json
from orthontk.loggers import read_metrics
from orthontk.meanfield import measured_spectrum
from orthontk.networks import FCN

UNLOGGED = ("trainer.log_every_n_steps=1000", "trainer.max_steps=60", "loss=mse", "data.val_size=0")
NO_KERNELS = ("callbacks.ntk.steps=[]",)
TAU = ("callbacks=[ntk,tau]", *NO_KERNELS, "callbacks.tau.threshold=0.05")


def results(directory):
    return {(row["seed"], row["learning_rate"]): row for row in read_rows(directory / "replicas.csv")}


@pytest.mark.parametrize("steps", [60, 40])  # beyond and before the step at which losses are looked at
def test_noticed_between_the_logged_steps(small, steps):
    rates = "ensemble.learning_rates=[0.01,1e5]"
    run = small(*UNLOGGED, *TAU, f"trainer.max_steps={steps}", "ensemble.seeds=2", rates).run_directory
    for (_, rate), row in results(run).items():
        assert row["status"] == ("diverged" if rate == 1e5 else "finished")
        assert row["steps"] == (51 if rate == 1e5 and steps == 60 else steps)
        if rate == 1e5:
            assert row["test/accuracy"] == 0 and row.get("train/tau", 0) < 10
    group = read_json(run / "summary.json")["groups"][1]
    assert group["diverged"] == 2 and group["train/loss"]["mean"] is None


@pytest.mark.parametrize("steps", [60, 40])
def test_a_single_run_notices_too(small, steps):
    run = small(*UNLOGGED, f"trainer.max_steps={steps}", "optimizer.lr=1e5", *NO_KERNELS).run_directory
    summary = read_json(run / "summary.json")
    assert summary["diverged"] and summary["metrics"]["test/accuracy"] == 0
    assert [row["step"] for row in read_metrics(run / "metrics.csv") if "test/loss" in row] == [
        51 if steps == 60 else 40
    ]


@pytest.mark.parametrize(
    "settings",
    [
        ("callbacks=ntk", "callbacks.ntk.steps=1", "model.activation=identity", "trainer.log_every_n_steps=10"),
        ("callbacks=[ntk,jacobian_spectrum]", *NO_KERNELS, "data.batch_size=full"),
    ],
)
def test_callbacks_take_a_diverging_replica(small, settings):
    rates = "ensemble.learning_rates=[0.03,300,3000]"
    run = small("trainer.max_steps=20", "loss=mse", *settings, "ensemble.seeds=1", rates)
    assert run.code == 0, run.err
    assert {rate: row["status"] for (_, rate), row in results(run.run_directory).items()}[0.03] == "finished"


def test_the_spectrum_of_a_jacobian_that_is_not_finite():
    net = FCN(4, 2, width=3, depth=4)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(math.inf)
    values, moments = measured_spectrum(net, torch.ones(4))
    assert values.shape == (3,) and values.isnan().all() and math.isnan(moments.mean)
