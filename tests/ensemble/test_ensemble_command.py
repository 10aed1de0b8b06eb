"""Ensembles through the command: files, data of their own, loggers, refusals."""

import json
import re
import subprocess
import sys

import pytest
import torch
from ensemble_runs import EXACT, assert_curves_agree, curves, single_curve

from orthontk.csv_rows import read_rows
from orthontk.ensemble.results import summarize
from orthontk.files import read_json
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics

GRID = ("ensemble.seeds=2", "ensemble.inits=[gaussian,orthogonal]", "ensemble.learning_rates=[0.5,1.0]")


@pytest.mark.slow
def test_directory_of_an_ensemble(small):
    run = small(*GRID, "logger=wandb", "figures=true", "callbacks=[ntk,tau]", "ensemble.kernels=1").run_directory
    present = {path.name for path in run.iterdir()}
    assert {"metrics.csv", "replicas.csv", "summary.json", "ensemble.json", "figures", "wandb", "replicas"} <= present
    assert not list(run.rglob("*.partial*")) and not list(run.rglob("*.ckpt"))
    assert len(list(run.glob("wandb/offline-run-*"))) == 1
    assert {path.name for path in run.glob("figures/*")} >= {"train_loss.png", "tau.png", "ntk_change.png"}
    summary = read_json(run / "summary.json")
    assert summary["replicas"] == len(summary["results"]) == 8 and len(summary["groups"]) == 4
    kernels = {path.parent.name: KernelSeries.read(path).steps for path in run.glob("replicas/*/ntk.safetensors")}
    assert set(kernels) == {f"seed0-{init}-lr{lr}" for init in ("gaussian", "orthogonal") for lr in (0.5, 1.0)}
    assert all(steps == [0, 6] for steps in kernels.values())
    assert "gaussian+orthogonal" in run.name and "lr0.5..1" in run.name and "2seeds" in run.name


def test_one_row_a_step_and_replica(small):
    run = small(*GRID).run_directory
    names = [tuple(row[k] for k in ("step", "seed", "init", "learning_rate")) for row in read_rows(run / "metrics.csv")]
    assert len(names) == len(set(names)) == 7 * 8


def test_a_mean_over_an_infinite_value_is_none():
    """Condition numbers 2, 4 and ∞ have no mean; one that was not measured of a replica is no ∞."""
    replica = {"init": "gaussian", "learning_rate": 0.1, "status": "finished"}
    group = summarize([{**replica, "condition": 2.0, "rank": 3.0}, {**replica, "condition": None}])[0]
    assert group["condition"] == {"mean": None, "standard_error": None}
    assert group["rank"]["mean"] == 3.0
    assert summarize([{**replica, "condition": c} for c in (2.0, 4.0)])[0]["condition"]["mean"] == 3.0
    some = summarize([replica, {**replica, "condition": 2.0}])[0]["condition"]
    assert some == {"mean": 2.0, "standard_error": None, "replicas": 1}  # of two


@pytest.mark.parametrize(
    "chunk, batched",
    [pytest.param(8, True, marks=pytest.mark.slow), (3, True), pytest.param(3, False, marks=pytest.mark.slow)],
)
def test_chunks_change_nothing(small, plan, chunk, batched):
    plan(chunk, batched)
    run = small(*EXACT, *GRID).run_directory
    plan(1, False)
    alone = small(*EXACT, *GRID, "resume=never").run_directory
    for replica, curve in curves(alone).items():
        assert_curves_agree(curve, curves(run)[replica], 1e-10)


def test_coupled_replicas_come_from_one_draw(small):
    """Orthogonal from its Gaussian twin: the biases are the same, and W_gaussian = Q R with R upper triangular."""
    pair = ("ensemble.seeds=1", "ensemble.inits=[gaussian,orthogonal]", "checkpoint.keep=all", "trainer.max_steps=0")
    (path,) = small(*pair, "init.coupled=true", "callbacks.ntk.steps=[]").run_directory.glob(
        "chunks/*/checkpoints/*.ckpt"
    )
    state = torch.load(path, weights_only=True)["state_dict"]
    gaussian, orthogonal = state["network.layers-1-weight"].double()
    r = torch.linalg.solve(orthogonal, gaussian)
    assert torch.equal(*state["network.layers-1-bias"])
    assert r.tril(-1).abs().max() < 1e-4 * r.abs().max()


@pytest.mark.parametrize(
    "settings",
    [
        ("+trainer.gradient_clip_val=0",),  # which clips nothing
        ("model.out_features=1", "data.keep_classes=[0,1]", "loss=mse"),
        ("trainer.max_steps=null", "trainer.max_epochs=1"),
    ],
)
def test_settings_mean_what_they_mean_in_a_single_run(small, settings):
    settings = (*EXACT, *settings)
    together, alone = (small(*settings, *seeds).run_directory for seeds in (("ensemble.seeds=2",), ()))
    assert_curves_agree(single_curve(alone), curves(together)[0, "gaussian", 2.0], 1e-10)
    assert list(single_curve(alone).values())[-1]["test/accuracy"] > 0.5 or "out_features" not in str(settings)


@pytest.mark.slow
def test_wandb_takes_the_longest_names_of_the_default_callbacks(small):
    rates = "ensemble.learning_rates=[0.000316228,0.12345671,0.12345672]"
    run = small("logger=wandb", "ensemble.seeds=1", "ensemble.inits=[gaussian,flat_orthogonal]", rates, "model=cnn")
    assert run.code == 0, run.err
    assert (run.run_directory / "summary.json").exists()


def test_a_failing_logger_ends_its_wandb_run(small, monkeypatch):
    """Otherwise it would take what the next job of a multirun logs."""
    import wandb

    monkeypatch.setattr("orthontk.loggers.wandb_run.log_ensemble", lambda *arguments: 1 / 0)
    assert "ZeroDivisionError" in small("logger=wandb", "ensemble.seeds=2").err
    assert wandb.run is None


def wandb_history(run):
    """What the offline W&B run has logged, in order."""
    (recorded,) = run.glob("wandb/offline-run-*/run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(recorded)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in printed.splitlines()]
    return [record["history"]["item"] for record in records if record["type"] == "history"]


@pytest.mark.slow
def test_wandb_says_how_many_replicas_a_mean_is_of(small):
    """Where seeds end one after another, the curve goes on with those that are left."""
    rates = "ensemble.learning_rates=[0.5,2]"
    settings = "callbacks=[ntk,tau]", "callbacks.tau.threshold=0.3", "ensemble.stop=train_tau", "trainer.max_steps=20"
    run = small("ensemble.seeds=4", rates, *settings, "logger=wandb").run_directory
    ends = [int(row["steps"]) for row in read_rows(run / "replicas.csv") if row["learning_rate"] == 2]
    assert len(set(ends)) > 1
    counts = [
        int(item["train/replicas/gaussian/lr2"])
        for item in wandb_history(run)
        if "train/loss/gaussian/lr2/mean" in item
    ]
    assert counts == [sum(end > step for end in ends) for step in range(len(counts))]


@pytest.mark.slow
def test_one_wandb_run_has_means_and_bands(small):
    run = small(*GRID, "logger=wandb").run_directory
    items = wandb_history(run)
    losses = [curve[0]["train/loss"] for replica, curve in curves(run).items() if replica[1:] == ("gaussian", 0.5)]
    first = {name: float(value) for name, value in items[0].items() if name.startswith("train/loss/gaussian/lr0.5/")}
    mean = sum(losses) / len(losses)
    assert len(losses) == 2 and first["train/loss/gaussian/lr0.5/mean"] == pytest.approx(mean)
    assert first["train/loss/gaussian/lr0.5/lower"] < mean < first["train/loss/gaussian/lr0.5/upper"]
    assert any(name.startswith("replicas/train/loss/orthogonal/lr1") for item in items for name in item)


def test_what_an_axis_replaces_is_refused_of_a_finished_ensemble_too(small):
    """Which it finds, as it is in no hash: a preset may have it."""
    grid = "ensemble.learning_rates=[0.1]", "ensemble.inits=[gaussian]", "ensemble.seeds=[1,2]"
    assert small(*grid, "init.coupled=true").code == 0
    refused = small(*grid, "init.coupled=true", "optimizer.lr=0.5")
    assert refused.code == 1 and refused.err.startswith("error: optimizer.lr=0.5: expected ensemble.learning_rates=nu")


REFUSED = {
    "ensemble.seeds=0": "ensemble.seeds=0",
    "ensemble.seeds=[1,1]": "ensemble.seeds",
    "ensemble.seeds=2 seed=9223372036854775807": "ensemble.seeds=2: expected at most 1",
    "ensemble.seeds=[]": "ensemble.seeds",
    "ensemble.inits=[gaussian,uniform]": "one of|names from",
    "ensemble.inits=gaussian": "ensemble.inits",
    "ensemble.learning_rates=[0.1,-1]": "ensemble.learning_rates=-1",
    "ensemble.inits=[delta_orthogonal]": "ensemble.inits=delta_orthogonal: expected a network with convolutions",
    "ensemble.seeds=2 ensemble.stop=train_tau": "callbacks=tau",
    "ensemble.seeds=2 callbacks=[ntk,tau] callbacks.tau=null ensemble.stop=both": "callbacks.tau=null: expected its",
    "callbacks=[ntk,tau] ensemble.stop=train_tau": "ensemble.stop=train_tau: expected null in a single run, or",
    "ensemble.shared_batches=false": "ensemble.shared_batches=false: expected true in a single run, or",
    "ensemble.seeds=2 ensemble.stop=never": "ensemble.stop=never",
    "ensemble.seeds=2 ensemble.kernels=some": "ensemble.kernels=some",
    "ensemble.seeds=[3,7] ensemble.kernels=3": "ensemble.kernels=3: expected all, none, or a number of seeds, of which",
    "+optimizer.weight_decay=${optimizer.lr} ensemble.learning_rates=[0.1,2]": "weight_decay=2: expected a value that",
    "data.seed=${seed} ensemble.seeds=2": "data.seed=0: expected .* follow seed, .* ensemble.shared_batches=false",
    "ensemble.seeds=2 ensemble.chunk=0": "ensemble.chunk=0",
    "ensemble.seeds=2 ensemble.memory_limit=10": "ensemble.memory_limit=10",
    "ensemble.seeds=2 ensemble.shared_batches=3": "ensemble.shared_batches=3",
    "ensemble.seeds=2 optimizer.lr_fraction=0.5": "optimizer.lr_fraction=0.5",
    "optimizer.lr=0.5 ensemble.learning_rates=[0.1]": "lr=0.5: expected ensemble.learning_rates=null, as its",
    "seed=7 ensemble.seeds=[1,2]": "seed=7: expected ensemble.seeds=null or a number of seeds from this one on, as its",
    "init=orthogonal ensemble.inits=[gaussian]": "init=orthogonal: expected ensemble.inits=null, as its names are the",
    "init.scheme=orthogonal ensemble.inits=[gaussian]": "init.scheme=orthogonal: expected ensemble.inits=null",
    "data.seed=3 ensemble.seeds=2 ensemble.shared_batches=false": "data.seed=3: expected ensemble.shared_batches=true",
    "ensemble.seeds=2 trainer.precision=16-mixed": "trainer.precision=16-mixed",
    "ensemble.seeds=2 optimizer._target_=torch.optim.Adafactor": "optimizer=Adafactor",
    "ensemble.seeds=2 mode=test ckpt_path=x": "mode=test",
    "ensemble.seeds=2 logger=[csv,tensorboard]": "logger=tensorboard: expected csv or wandb",
    "callbacks=[ntk,tau] callbacks.tau.threshold=2": "callbacks.tau.threshold=2",
    "ensemble.seeds=2 init=delta_orthogonal": "init.scheme=delta_orthogonal",
    "ensemble.seeds=2 data.train_size=7": "data.train_size=7",
    "ensemble.seeds=2 model.width=0": "model.width=0",
    "ensemble.seeds=2 callbacks.ntk.probe_size=100": "probe_size=100",
    "ensemble.seeds=2 checkpoint.every_n_steps=0": "checkpoint.every_n_steps=0",
    "ensemble.seeds=2 +callbacks.x._target_=pytorch_lightning.callbacks.Timer": "callbacks.x=Timer: expected a sub",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals(small, tmp_path, arguments):
    """As of a single run, nothing is left that would refuse the corrected command."""
    refused = small(*arguments.split(" "))
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert re.search(REFUSED[arguments].replace("[", "\\["), refused.err), refused.err
    assert not list(tmp_path.glob("outputs/default/*"))


@pytest.mark.parametrize("arguments", [(), ("ensemble.seeds=2",)])
def test_an_empty_list_of_callbacks_is_none_of_them(train, arguments):
    run = train("model=fcn", "model.width=8", "callbacks=[]", "figures=false", "trainer.max_steps=1", *arguments)
    assert run.code == 0, run.err


def test_bar_counts_the_whole(small):
    shown = small(*GRID, "trainer.enable_progress_bar=true").err
    assert "48/48" in shown


@pytest.mark.slow
def test_a_limit_is_computed_once_for_those_that_share_it(small, monkeypatch, plan):
    from orthontk.callbacks import infinite_limit

    plan(3, True)
    calls, original = [], infinite_limit.kernels_of_limit
    monkeypatch.setattr(infinite_limit, "kernels_of_limit", lambda *a: calls.append(a) or original(*a))
    run = small(*GRID, "callbacks.ntk.infinite=true").run_directory
    assert len(calls) == 2  # of an initialization each
    alone = small("callbacks.ntk.infinite=true", "optimizer.lr=0.5", "init=orthogonal").run_directory
    distances = [
        row["ntk/distance_to_infinite"] for row in read_metrics(alone / "metrics.csv") if row["step"] in (0, 6)
    ]
    curve = curves(run)[0, "orthogonal", 0.5]
    assert [curve[step]["ntk/distance_to_infinite"] for step in (0, 6)] == pytest.approx(distances, rel=1e-5)


def test_predictions_of_replicas(small):
    """Another callback for one network, in two replicas: the same predictions as in a single run."""
    settings = ("loss=mse", "data.batch_size=full", "callbacks=[ntk,prediction]", "callbacks.prediction.test_size=20")
    run = small(*settings, "ensemble.learning_rates=[0.1,0.5]", "trainer.precision=64-true").run_directory
    alone = small(*settings, "optimizer.lr=0.5", "trainer.precision=64-true").run_directory
    assert_curves_agree(single_curve(alone), curves(run)[0, "gaussian", 0.5], 1e-6)
