"""Replicas split over two processes: the same results, each file written once."""

import os
import signal
import subprocess
import sys
import time

import pytest
from ensemble_runs import curves

from launched import launched
from orthontk.files import write_json
from small_run import SMALL


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    settings = (
        "ensemble.seeds=3",
        "ensemble.inits=[gaussian,orthogonal]",
        "ensemble.learning_rates=[0.1,1]",
        "callbacks=[ntk,tau]",
        "callbacks.tau.threshold=0.3",
        "ensemble.stop=test_tau",
        "logger=wandb",
        "trainer.enable_progress_bar=true",
    )

    def run(name, *overrides):
        (tmp_path / name).mkdir()
        write_json(tmp_path / name / "ensemble.json", {"chunk": 4, "batched": True, "milliseconds": {}})
        done = launched("model=fcn", *SMALL, *settings, *overrides, f"hydra.run.dir={tmp_path}/{name}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Results: ") == 1
        assert not any(bar in done.stdout + done.stderr for bar in ("Epoch", "Testing", "Validation"))  # Lightning's
        return tmp_path / name

    one, two = run("one"), run("two", "trainer=ddp")
    assert curves(one) == curves(two)
    kernels = [{path.relative_to(run) for path in run.glob("replicas/*/ntk.safetensors")} for run in (one, two)]
    assert kernels[0] == kernels[1] and len(kernels[0]) == 12
    assert len(list(two.glob("wandb/offline-run-*"))) == 1
    assert not list(two.rglob("*.partial*"))


def of_a_job(task):
    """The environment of a task that srun has started."""
    return {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "test",
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": str(task),
        "SLURM_LOCALID": str(task),
    }


@pytest.mark.slow
@pytest.mark.parametrize("launches", [[{}], [of_a_job(0), of_a_job(1)]], ids=["lightning", "srun"])
def test_no_process_goes_on_without_the_first(tmp_path, request, launches):
    """Without the lock it would train beside the next launch."""
    endless = "trainer.max_steps=1000000", "callbacks.ntk.steps=[0]"
    settings = "ensemble.seeds=2", "ensemble.chunk=1", "trainer=ddp", *endless
    command = [sys.executable, "train.py", "model=fcn", *SMALL, *settings, f"hydra.run.dir={tmp_path}"]
    processes = []
    for variables in launches:
        process = subprocess.Popen(
            command,
            cwd=request.config.rootpath,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
            start_new_session=True,
        )
        processes.append(process)
    try:
        deadline = time.monotonic() + 100
        while not all(list(tmp_path.glob(f"chunks/000{number}/checkpoints/step-*.ckpt")) for number in (0, 1)):
            assert time.monotonic() < deadline and processes[0].poll() is None
            time.sleep(0.1)
        processes[0].kill()
        for process in processes:
            process.communicate(timeout=30)  # until no process has its output open
    finally:
        for process in processes:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
