"""Replicas split over two processes: the same results, each file written once."""

import os
import subprocess
import sys

import pytest
from ensemble_runs import curves

from orthontk.files import write_json
from small_run import SMALL


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, request):
    settings = ("ensemble.seeds=3", "ensemble.inits=[gaussian,orthogonal]", "ensemble.learning_rates=[0.1,1]")
    settings = (
        *settings,
        "callbacks=[ntk,tau]",
        "callbacks.tau.threshold=0.3",
        "ensemble.stop=test_tau",
        "logger=wandb",
    )

    def run(name, *overrides):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "ensemble.json", {"chunk": 4, "batched": True, "milliseconds": {}})
        command = [sys.executable, "train.py", "model=fcn", *SMALL, "logger=wandb", *settings, *overrides]
        done = subprocess.run(
            [*command, f"hydra.run.dir={tmp_path}/{name}"],
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Results: ") == 1
        return tmp_path / name

    one, two = run("one"), run("two", "trainer=ddp")
    assert curves(one) == curves(two)
    kernels = [{path.relative_to(run) for path in run.glob("replicas/*/ntk.safetensors")} for run in (one, two)]
    assert kernels[0] == kernels[1] and len(kernels[0]) == 12
    assert len(list(two.glob("wandb/offline-run-*"))) == 1
    assert not list(two.rglob("*.partial*"))
