"""A killed ensemble ends as an uninterrupted one does, bit for bit."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from ensemble_runs import curves

from orthontk.csv_rows import read_rows
from orthontk.ensemble.module import EnsembleModule
from orthontk.files import read_json, write_json
from orthontk.kernels.kernel_series import KernelSeries
from run_files import without_times
from small_run import SMALL

SETTINGS = (
    "trainer.max_steps=24",
    "trainer.val_check_interval=6",
    "checkpoint.every_n_steps=4",
    "callbacks=[ntk,tau]",
    "callbacks.ntk.steps=6",
    "ensemble.seeds=3",
    "ensemble.inits=[gaussian,orthogonal]",
    "ensemble.stop=train_tau",
)
RATES = {"momentum": "[0.1,0.5,1e4]", "adam": "[0.001,0.01]"}


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def interrupt(monkeypatch):
    """Let training raise just before the so-manyth update of all chunks together."""

    def at(update):
        original, count = EnsembleModule.training_step, iter(range(10**6))

        def training_step(self, batch, batch_index):
            if next(count) == update:
                monkeypatch.setattr(EnsembleModule, "training_step", original)
                raise Interrupted
            return original(self, batch, batch_index)

        monkeypatch.setattr(EnsembleModule, "training_step", training_step)

    return at


def assert_same_ensemble(one, other):
    assert curves(one) == curves(other) or str(curves(one)) == str(curves(other))  # NaN equals nothing
    results = [without_times(list(read_rows(path / "replicas.csv"))) for path in (one, other)]
    assert str(results[0]) == str(results[1])
    kernels = sorted(path.relative_to(one) for path in one.glob("replicas/*/ntk.safetensors"))
    assert kernels == sorted(path.relative_to(other) for path in other.glob("replicas/*/ntk.safetensors")) != []
    for path in kernels:
        series, again = KernelSeries.read(one / path), KernelSeries.read(other / path)
        assert series.steps == again.steps
        assert all(map(torch.equal, series.kernels, again.kernels))


def give_plan(directory, batched):
    directory.mkdir()
    write_json(directory / "ensemble.json", {"chunk": 6, "batched": batched, "milliseconds": {}})


@pytest.mark.parametrize(
    "optimizer", [pytest.param(name, marks=[pytest.mark.slow] * (name == "adam")) for name in RATES]
)
@pytest.mark.parametrize(  # before a checkpoint, in the first chunk, in a later one
    "update", [pytest.param(2, marks=pytest.mark.slow), 14, pytest.param(31, marks=pytest.mark.slow)]
)
def test_resumed_equals_uninterrupted(small, interrupt, tmp_path, optimizer, update):
    settings = (*SETTINGS, f"optimizer={optimizer}", f"ensemble.learning_rates={RATES[optimizer]}", "schedule=cosine")
    for name in ("whole", "stopped"):  # a plan is measured, so two runs may have different ones
        give_plan(tmp_path / name, batched=optimizer == "adam")
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole")
    assert whole.code == 0, whole.err
    interrupt(update)
    stopped = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert stopped.code == 1 and "Interrupted" in stopped.err
    resumed = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert resumed.code == 0, resumed.err
    assert_same_ensemble(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("ensemble", [(), ("ensemble.seeds=2", "ensemble.learning_rates=[0.01,0.5]")])
def test_what_ends_after_the_last_checkpoint_still_has_its_tau(small, monkeypatch, tmp_path, ensemble):
    settings = ("callbacks=[ntk,tau]", "callbacks.ntk.steps=[]", "callbacks.tau.threshold=0.9", *ensemble)
    assert small(*settings, f"hydra.run.dir={tmp_path}/whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.loops.fit_loop._FitLoop.on_run_end", lambda loop: interrupted())
        assert "Interrupted" in small(*settings, f"hydra.run.dir={tmp_path}/stopped").err
    assert small(*settings, f"hydra.run.dir={tmp_path}/stopped").code == 0
    rows = [[without_times(r) for r in read_rows(tmp_path / run / "metrics.csv")] for run in ("whole", "stopped")]
    assert rows[0] == rows[1] and any(row.get("test/censored") == 1 for row in rows[0])


@pytest.mark.parametrize("ensemble", [(), ("ensemble.seeds=2",)])
def test_a_diverged_training_ends_where_it_ended(small, monkeypatch, tmp_path, ensemble):
    settings = ("optimizer.lr=1e8", "loss=mse", "trainer.max_steps=60", "checkpoint.every_n_steps=1", *ensemble)
    settings = (*settings, "trainer.log_every_n_steps=20", "callbacks.ntk.steps=[]")
    assert small(*settings, f"hydra.run.dir={tmp_path}/whole").code == 0
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.loops.fit_loop._FitLoop.on_run_end", lambda loop: interrupted())
        assert "Interrupted" in small(*settings, f"hydra.run.dir={tmp_path}/stopped").err
    resumed = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert resumed.code == 0, resumed.err
    rows = [[without_times(r) for r in read_rows(tmp_path / run / "metrics.csv")] for run in ("whole", "stopped")]
    assert str(rows[0]) == str(rows[1]) and rows[0][-1]["step"] == 21  # NaN equals nothing


def interrupted():
    raise Interrupted


def test_a_finished_ensemble_is_reported(small):
    first = small(*SETTINGS)
    again = small(*SETTINGS)
    assert again.out.startswith("finished already") and again.run_directory == first.run_directory


@pytest.mark.parametrize("setting", ["model.activation=relu", "trainer.max_steps=30", "ensemble.seeds=4"])
def test_other_settings_do_not_go_on_with_it(small, interrupt, tmp_path, setting):
    """In a directory that is given by hand: its chunks would not be of one ensemble."""
    give_plan(tmp_path / "run", batched=True)
    interrupt(10)
    assert "Interrupted" in small(*SETTINGS, f"hydra.run.dir={tmp_path}/run").err
    refused = small(*SETTINGS, setting, f"hydra.run.dir={tmp_path}/run")
    assert refused.code == 1 and f"same {setting.partition('.')[0]}" in refused.err
    assert small(*SETTINGS, "figures=false", "checkpoint.every_n_steps=5", f"hydra.run.dir={tmp_path}/run").code == 0


def test_another_version_of_the_code_is_warned_of(small, interrupt, tmp_path):
    """As of a single run; what began it stays on record."""
    here = f"hydra.run.dir={tmp_path}/run"
    interrupt(10)
    assert "Interrupted" in small(*SETTINGS, here).err
    provenance = tmp_path / "run" / "provenance.json"
    write_json(provenance, {**read_json(provenance), "git_commit": "0" * 40})
    assert "warning: continuing a run begun at commit 0000" in small(*SETTINGS, here).out
    assert read_json(provenance)["git_commit"] == "0" * 40


@pytest.mark.slow
def test_sigkill_midway(tmp_path, request):
    """Kill a real process twice, and let the same command finish."""
    settings = ("trainer.max_steps=400", "checkpoint.every_n_steps=10", "trainer.val_check_interval=100")
    grid = ("ensemble.learning_rates=[0.1,0.5,2,1e4]", "ensemble.stop=null", "callbacks.ntk.steps=50")
    command = [sys.executable, "train.py", "model=fcn", *SMALL, *SETTINGS, *settings, *grid]

    for name in ("whole", "killed"):
        give_plan(tmp_path / name, batched=True)

    def start(name):
        arguments = [*command, f"hydra.run.dir={tmp_path}/{name}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(arguments, cwd=request.config.rootpath, env=environment, stdout=subprocess.DEVNULL)

    assert start("whole").wait(200) == 0
    for pattern in ("chunks/0000/checkpoints/step-*[1-9]0.ckpt", "chunks/0002/checkpoints/step-*[1-9]0.ckpt"):
        process = start("killed")
        while process.poll() is None and not list((tmp_path / "killed").glob(pattern)):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert start("killed").wait(200) == 0
    assert_same_ensemble(tmp_path / "whole", tmp_path / "killed")
