"""Runs on a GPU: the same numbers as on the CPU, and the same bits again; replicas that equal single runs."""

import pytest
import torch
from ensemble_runs import assert_curves_agree, curves, single_curve

from run_files import assert_same_run

pytestmark = pytest.mark.gpu
GPU = ("trainer.accelerator=gpu", "callbacks=[ntk,tau]", "callbacks.ntk.steps=[0,6]")
DOUBLE = "trainer.precision=64-true"
FAMILIES = {"fcn": ("model=fcn",), "cnn": ("model=cnn", "model.width=4")}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_equals_the_cpus(small, family):
    on_gpu = small(*FAMILIES[family], *GPU, DOUBLE)
    on_cpu = small(*FAMILIES[family], *GPU, DOUBLE, "trainer.accelerator=cpu")
    assert on_gpu.code == on_cpu.code == 0, on_gpu.err + on_cpu.err
    assert_curves_agree(single_curve(on_cpu.run_directory), single_curve(on_gpu.run_directory), 1e-8)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_bits_again(small, family):
    one, other = (small(*FAMILIES[family], *GPU) for _ in range(2))
    assert one.code == other.code == 0, one.err + other.err
    assert_same_run(one.run_directory, other.run_directory)


@pytest.mark.parametrize("family", FAMILIES)
def test_tf32_only_on_request(small, family):
    """Full precision is that of float64 to float32's rounding; TF32 has a thousandth of it left."""
    exact, single, rounded = (
        single_curve(small(*FAMILIES[family], *GPU, *own).run_directory)
        for own in ([DOUBLE], [], ["trainer.tf32=true"])
    )
    losses = [
        [row["train/loss"] for row in curve.values() if "train/loss" in row] for curve in (exact, single, rounded)
    ]
    errors = [max(abs(a - b) / b for a, b in zip(one, losses[0], strict=True)) for one in losses[1:]]
    assert errors[0] < 1e-5 < errors[1] < 1e-2, errors


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_resumed_equals_uninterrupted(small, optimizer):
    settings = (
        "model=cnn",
        "model.width=4",
        f"optimizer={optimizer}",
        *GPU,
        "callbacks.ntk.steps=[0,4]",
        "checkpoint.keep=all",
    )
    whole = small(*settings)
    directory = whole.run_directory
    part = small(*settings, "trainer.max_steps=4")
    checkpoint = next((part.run_directory / "checkpoints").glob("*4.ckpt"))
    resumed = small(*settings, f"resume={checkpoint}")
    assert resumed.code == 0, resumed.err
    first, second = (
        torch.load(max((path / "checkpoints").iterdir()), weights_only=True)["state_dict"]
        for path in (directory, resumed.run_directory)
    )
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_replicas_equal_single_runs(small, family, batched, monkeypatch):
    if not batched:
        monkeypatch.setattr("orthontk.ensemble.plan.unmeasured", lambda work, choice: choice[-1])
    settings = (*FAMILIES[family], *GPU, DOUBLE)
    grid = ("ensemble.seeds=[0,3]", "ensemble.inits=[gaussian,orthogonal]", "ensemble.learning_rates=[0.02,0.1]")
    ensemble = small(*settings, *grid)
    assert ensemble.code == 0, ensemble.err
    together = curves(ensemble.run_directory)
    assert len(together) == 8
    alone = small(*settings, "seed=3", "init=orthogonal", "optimizer.lr=0.02")
    assert_curves_agree(single_curve(alone.run_directory), together[3, "orthogonal", 0.02], 1e-8)


def test_an_ensemble_that_stops_and_diverges(small):
    """Replicas are dropped on the GPU, and others are not disturbed."""
    grid = (
        "ensemble.seeds=3",
        "ensemble.learning_rates=[0.1,1e30]",
        "model.activation=relu",
        "ensemble.stop=train_tau",
    )
    result = small(GPU[0], *grid, "callbacks=[tau,ntk]", "callbacks.ntk.steps=[0]", "trainer.max_steps=30")
    assert result.code == 0, result.err
    assert "diverged" in (result.run_directory / "replicas.csv").read_text()
