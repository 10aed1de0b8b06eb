"""Two processes and one: the same steps, losses and kernels for the same global batch."""

import os
import subprocess
import sys

import pytest
import torch

from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from small_run import SMALL


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, request):
    def run(name, *overrides):
        command = [sys.executable, "train.py", "model=fcn", *SMALL, *overrides, f"hydra.run.dir={tmp_path}/{name}"]
        done = subprocess.run(
            command,
            cwd=request.config.rootpath,
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        directory = tmp_path / name
        return read_metrics(directory / "metrics.csv"), KernelSeries.read(directory / "ntk.safetensors")

    settings = "logger=wandb", "trainer.precision=64-true", "data.eval_batch_size=7"
    one, one_series = run("one", *settings)
    two, two_series = run("two", *settings, "trainer=ddp")
    assert [row.keys() for row in one] == [row.keys() for row in two]
    for alone, together in zip(one, two, strict=True):
        for name in alone:
            if not name.startswith("time/"):
                assert together[name] == pytest.approx(alone[name], rel=1e-9, abs=1e-12), name
    for alone, together in zip(one_series.kernels, two_series.kernels, strict=True):
        assert torch.allclose(alone, together, rtol=1e-10, atol=0)
    assert len(list((tmp_path / "two" / "wandb").glob("offline-run-*"))) == 1
