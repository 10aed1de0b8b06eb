"""The learning rate as a share of the largest stable one."""

import csv
import math
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from orthontk.checks import InvalidValue
from orthontk.dynamics import largest_stable_lr
from orthontk.kernels import empirical_ntk
from orthontk.loggers import read_metrics
from orthontk.run.learning_rate import lr_of_fraction, mean_top_eigenvalue

MSE = ("loss=mse", "data.batch_size=full", "callbacks.ntk.probe_size=60", "trainer.precision=64-true")


def learning_rate(run):
    return OmegaConf.load(run / "config.yaml").optimizer.lr


def losses(run):
    return [row["train/loss"] for row in read_metrics(run / "metrics.csv") if "train/loss" in row]


def kernel_at_start(run):
    """Θ_0 of the run on all 60 training inputs: the probe holds them all."""
    from orthontk.kernels.kernel_series import KernelSeries

    return KernelSeries.read(run / "ntk.safetensors").kernels[0]


@pytest.mark.parametrize("optimizer, momentum", [("sgd", 0.0), ("momentum", 0.9)])
def test_it_is_that_share_of_the_exact_one(small, optimizer, momentum):
    run = small(*MSE, f"optimizer={optimizer}", "optimizer.lr_fraction=0.5", "trainer.max_steps=0").run_directory
    exact = largest_stable_lr(kernel_at_start(run), momentum=momentum)
    assert learning_rate(run) == pytest.approx(exact / 2, rel=1e-4)
    assert "-lr0.5max-" in run.name


def test_four_times_as_much_bounds_cross_entropy(small):
    mse, entropy = (
        learning_rate(small(*MSE, f"loss={loss}", "optimizer.lr_fraction=0.5", "trainer.max_steps=0").run_directory)
        for loss in ("mse", "cross_entropy")
    )
    assert entropy == pytest.approx(4 * mse, rel=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("momentum", marks=pytest.mark.slow)])
def test_it_is_the_edge_of_stability(small, optimizer):
    """Where the network is linear in its parameters the edge is exact: below it the loss falls, above it it grows."""
    linear = (*MSE, f"optimizer={optimizer}", "model.depth=1", "trainer.max_steps=300", "callbacks.ntk.steps=[]")
    stable, unstable = (losses(small(*linear, f"optimizer.lr_fraction={f}").run_directory) for f in (0.95, 1.05))
    assert stable[-1] < 0.7 * stable[0]
    assert unstable[-1] > 2 * unstable[0]


def test_it_is_estimated_on_a_sample_for_minibatches(small, monkeypatch):
    """λ_max/N of 30 of 60 inputs is near that of all, and `SAMPLE` is what decides."""
    settings = (*MSE, "data.batch_size=10", "optimizer.lr_fraction=1", "trainer.max_steps=0")
    whole = learning_rate(small(*settings).run_directory)
    monkeypatch.setattr("orthontk.run.learning_rate.SAMPLE", 30)
    sample = learning_rate(small(*settings, "resume=never").run_directory)
    assert sample != whole and sample == pytest.approx(whole, rel=0.2)


def test_top_eigenvalue_is_that_of_the_kernel():
    """One output, of a network that is no FCN; and ten, whose largest eigenvalues nearly coincide."""
    torch.manual_seed(0)
    for outputs in (1, 10):
        net = torch.nn.Sequential(torch.nn.Linear(5, 300), torch.nn.Tanh(), torch.nn.Linear(300, outputs)).double()
        x = torch.randn(20, 5, dtype=torch.float64)
        theta = empirical_ntk(net, x).permute(0, 2, 1, 3).reshape(20 * outputs, -1)
        exact = torch.linalg.eigvalsh(theta)[-1].item() / 20
        assert mean_top_eigenvalue(net, x) == pytest.approx(exact, rel=1e-3)


def test_one_input_and_one_output():
    """A kernel of one entry, which Lanczos cannot begin with."""
    network = torch.nn.Linear(4, 1).double()
    x = torch.ones(1, 4, dtype=torch.float64)
    assert mean_top_eigenvalue(network, x) == pytest.approx(empirical_ntk(network, x).item(), rel=1e-12)


def test_a_resumed_run_keeps_its_learning_rate(small, monkeypatch):
    """Even where computing it again would give another number, as on another machine."""
    settings = (*MSE, "optimizer.lr_fraction=0.5", "checkpoint.keep=all")
    run = small(*settings).run_directory
    kept = learning_rate(run)
    (run / "summary.json").unlink()  # as if it had been killed before its end
    (run / "checkpoints" / "step-00000006.ckpt").unlink()
    before = losses(run)
    monkeypatch.setattr("orthontk.run.learning_rate.mean_top_eigenvalue", lambda network, x: 1e9)
    again = small(*settings)
    assert "continuing from" in again.out
    assert learning_rate(run) == kept and losses(run) == before


def test_the_callback_logs_what_the_fraction_is_of(small):
    fraction = learning_rate(small(*MSE, "optimizer.lr_fraction=0.5", "trainer.max_steps=0").run_directory)
    without_ntk = [setting for setting in MSE if "ntk" not in setting]
    run = small(*without_ntk, "callbacks=[ntk,largest_stable_rate]", "trainer.max_steps=0").run_directory
    assert read_metrics(run / "metrics.csv")[0]["lr/largest_stable"] == pytest.approx(2 * fraction, rel=1e-9)


def test_an_ensemble_logs_each_replicas_own(small):
    """Replicas that differ in their rate have one largest stable rate, those of other seeds another."""
    rates = ("ensemble.seeds=2", "ensemble.learning_rates=[0.1,0.2]")
    run = small("callbacks=[ntk,largest_stable_rate]", *rates).run_directory
    with open(run / "metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["lr/largest_stable"]]
    found = {(row["seed"], row["learning_rate"]): float(row["lr/largest_stable"]) for row in rows}
    assert len(found) == 4 and len(set(found.values())) == 2
    alone = small("callbacks=[ntk,largest_stable_rate]", "seed=1", "optimizer.lr=0.2", "trainer.max_steps=0")
    own = read_metrics(alone.run_directory / "metrics.csv")[0]["lr/largest_stable"]
    assert found["1", "0.2"] == pytest.approx(own, rel=1e-5)


def test_another_precision_has_a_rate_of_its_own(small):
    """Though jobs of one process remember what they have computed."""

    def rate(precision):
        settings = ("callbacks=[ntk,largest_stable_rate]", "loss=mse", f"trainer.precision={precision}")
        run = small(*settings, "trainer.max_steps=1").run_directory
        return next(row["lr/largest_stable"] for row in read_metrics(run / "metrics.csv") if "lr/largest_stable" in row)

    assert rate("32-true") != rate("64-true")


@pytest.mark.parametrize("factor, expected", [(0.0, 0.0), (math.inf, math.nan), (math.nan, math.nan)])
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_kernel_that_is_zero_or_not_finite_has_no_eigenvalue_that_lanczos_finds(factor, expected, outputs):
    network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, outputs, bias=False)).double()
    with torch.no_grad():
        network[0].weight.fill_(factor), network[0].bias.fill_(factor), network[1].weight.mul_(factor)
    for inputs in (1, 5):
        top = mean_top_eigenvalue(network, torch.ones(inputs, 4, dtype=torch.float64))
        assert top == pytest.approx(expected, nan_ok=True)


def fraction_of(top, monkeypatch):
    monkeypatch.setattr("orthontk.run.learning_rate.mean_top_eigenvalue", lambda *arguments: top)
    optimizer = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 1.0, "lr_fraction": 0.5}
    loss = {"_target_": "orthontk.training.OneHotMSE"}
    data = SimpleNamespace(batch_size="full", train=SimpleNamespace(images=torch.ones(3, 4)))
    config = OmegaConf.create({"optimizer": optimizer, "loss": loss})
    return lr_of_fraction(config, torch.nn.Linear(4, 2), data)


def test_no_share_of_an_infinite_or_unknown_rate(monkeypatch):
    assert fraction_of(4.0, monkeypatch) == 0.125
    for top, why in ((0.0, "zero"), (math.nan, "not finite")):
        with pytest.raises(InvalidValue, match=rf"^optimizer\.lr_fraction=0\.5: expected null, as .*{why}"):
            fraction_of(top, monkeypatch)
