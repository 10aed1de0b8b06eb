"""Two processes and one: the same steps, losses and kernels for the same global batch."""

import os
import signal
from pathlib import Path

import pytest
import torch
from terminating import STEP

from launched import launched
from orthontk.files import read_json
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from run_files import assert_same_run
from small_run import SMALL


@pytest.fixture
def run(tmp_path):
    def call(name, *overrides, code=0, options=(), **variables):
        own = "model=fcn", *SMALL, *overrides, f"hydra.run.dir={tmp_path}/{name}"
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        done = launched(*options, *own, PYTHONPATH=path, **variables)
        assert done.returncode == code, done.stderr
        return tmp_path / name

    return call


def assert_same_metrics(one, other):
    rows, other_rows = (read_metrics(directory / "metrics.csv") for directory in (one, other))
    assert [row.keys() for row in rows] == [row.keys() for row in other_rows]
    for row, other_row in zip(rows, other_rows, strict=True):
        for name in row:
            if not name.startswith("time/"):
                assert other_row[name] == pytest.approx(row[name], rel=1e-9, abs=1e-12, nan_ok=True), name


@pytest.mark.slow
def test_two_processes_equal_one(run):
    settings = "logger=wandb", "trainer.precision=64-true", "data.eval_batch_size=7"
    one, two = run("one", *settings), run("two", *settings, "trainer=ddp")
    assert_same_metrics(one, two)
    kernels, other_kernels = (KernelSeries.read(directory / "ntk.safetensors").kernels for directory in (one, two))
    for alone, together in zip(kernels, other_kernels, strict=True):
        assert torch.allclose(alone, together, rtol=1e-10, atol=0)
    assert len(list((two / "wandb").glob("offline-run-*"))) == 1


WEIGHTED = "+loss.weight={_target_: torch.tensor, data: [1.,1.,1.,1.,1.,5.,5.,5.,5.,5.]}"


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["+loss.reduction=sum", WEIGHTED])
def test_losses_that_are_no_means_over_examples(run, loss):
    settings = "trainer.precision=64-true", "optimizer.lr=0.002", "trainer.log_every_n_steps=1", loss
    assert_same_metrics(run("one", *settings), run("two", *settings, "trainer=ddp"))


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--config-dir={}", "hydra.searchpath=[file://{}]"])
@pytest.mark.parametrize("ensemble", [(), ("ensemble.seeds=4", "ensemble.chunk=2", "ensemble.inits=[own]")])
def test_both_processes_find_the_users_own_configuration(run, tmp_path, option, ensemble):
    (tmp_path / "conf" / "init").mkdir(parents=True)
    (tmp_path / "conf" / "init" / "own.yaml").write_text("defaults: [orthogonal]\ncoupled: true\n")
    own = run("own", *(ensemble or ("init=own",)), "trainer=ddp", options=[option.format(tmp_path / "conf")])
    assert read_json(own / "summary.json")["status"] == "finished"


@pytest.mark.slow
def test_a_divergence_ends_both_processes(run):
    """At the step at which it ends one."""
    settings = "trainer.precision=64-true", "loss=mse", "optimizer.lr=1e30", "callbacks.ntk.steps=[]", "data.val_size=0"
    unlogged = "trainer.max_steps=60", "trainer.log_every_n_steps=1000"
    one, two = (run(name, *settings, *unlogged, *ddp) for name, ddp in (("one", ()), ("two", ("trainer=ddp",))))
    summaries = [read_json(directory / "summary.json") for directory in (one, two)]
    assert all(summary["diverged"] and summary["steps"] == 51 for summary in summaries)


@pytest.mark.slow
def test_terminated_equals_uninterrupted(run):
    """SIGTERM while the other process waits in a collective ends both, and the same command goes on to the same."""
    settings = "trainer=ddp", "callbacks=[ntk,tau]", "+callbacks.last._target_=terminating.Terminating"
    whole = run("whole", *settings)
    run("left", *settings, code=-signal.SIGTERM, **{STEP: "3"})
    assert_same_run(whole, run("left", *settings))
