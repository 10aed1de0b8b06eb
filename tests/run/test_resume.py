"""An interrupted run ends as an uninterrupted one does, bit for bit; nothing is overwritten."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from run_files import assert_same_run as assert_same_whole_run
from run_files import wandb_history, without_times
from small_run import LONGER


def rows(directory):
    """The metrics that a resumed run must repeat: all but wall-clock times."""
    return without_times(read_metrics(directory / "metrics.csv"))


def final_state(directory):
    (checkpoint,) = (directory / "checkpoints").iterdir()
    return torch.load(checkpoint, weights_only=True)


def assert_same_run(one, other):
    assert rows(one) == rows(other)
    assert (one / "ntk.safetensors").read_bytes() == (other / "ntk.safetensors").read_bytes()
    first, second = final_state(one), final_state(other)
    assert first["global_step"] == second["global_step"]
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
    assert str(first["optimizer_states"]) == str(second["optimizer_states"])
    assert str(first["lr_schedulers"]) == str(second["lr_schedulers"])


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("step", [2, 6, 12, 23])  # before any checkpoint, after a validation, at both, near the end
def test_resumed_equals_uninterrupted(small, interrupt, tmp_path, step, optimizer):
    settings = (*LONGER, f"optimizer={optimizer}", "schedule=cosine", "init=orthogonal")
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    interrupt(step)
    stopped = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert stopped.code == 1 and "Interrupted" in stopped.err
    assert not (tmp_path / "stopped" / "summary.json").exists()
    resumed = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert resumed.code == 0, resumed.err
    assert ("continuing from" in resumed.out) == (step >= 4)
    assert_same_run(whole, resumed.run_directory)


def test_finished_run_is_reported_and_left_alone(small):
    first = small()
    before = {path: path.stat().st_mtime_ns for path in first.run_directory.rglob("*") if path.is_file()}
    again = small()
    assert again.code == 0 and again.out.startswith("finished already")
    assert before == {path: path.stat().st_mtime_ns for path in first.run_directory.rglob("*") if path.is_file()}


def test_never_makes_numbered_siblings(small):
    names = [small("resume=never").run_directory.name for _ in range(3)]
    assert names[1:] == [f"{names[0]}-2", f"{names[0]}-3"]


def test_a_requeued_job_goes_on_where_never_began(small, interrupt, monkeypatch, tmp_path):
    """In the directory that it held, not in that of another job; once that is finished, it is reported."""
    settings = (*LONGER, "resume=never", "name=requeued")
    whole = small(*LONGER, "resume=never").run_directory
    for number, job in enumerate(("76", "77", "78")):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        interrupt(10 if number == 1 else 6)
        small(*settings)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    again = small(*settings)
    assert again.code == 0 and f"continuing from {again.run_directory}/checkpoints/step-00000008.ckpt" in again.out
    assert again.run_directory == tmp_path / "outputs" / "requeued" / f"{whole.name}-2"
    assert_same_run(whole, again.run_directory)
    finished = small(*settings)  # as a job of several commands does that is requeued after the first of them
    assert finished.code == 0 and finished.run_directory == again.run_directory
    assert finished.out.startswith("finished already")
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert small(*settings).run_directory.name == f"{whole.name}-4"


def test_resume_from_a_path_takes_the_history_along(small):
    """Train longer from half of a run: the steps before it are the old run's, and the kernels' beginning is too."""
    old = small(*LONGER, "checkpoint.keep=all").run_directory
    (old / "ntk-recomputed.safetensors").write_bytes(b"of `python -m orthontk.ntk`, and so of the old run alone")
    half = f"resume={old}/checkpoints/step-00000012.ckpt"
    new = small(*LONGER, "trainer.max_steps=30", half).run_directory
    assert new != old
    assert [row for row in rows(new) if row["step"] < 12] == [row for row in rows(old) if row["step"] < 12]
    shared = {row["step"]: row for row in rows(new) if row["step"] < 24}
    assert shared == {row["step"]: row for row in rows(old) if row["step"] < 24}
    assert KernelSeries.read(new / "ntk.safetensors").steps == list(range(0, 31, 3))
    assert not (new / "ntk-recomputed.safetensors").exists()
    less_memory = small(*LONGER, "data.eval_batch_size=50", "trainer.max_steps=26", half)
    assert less_memory.code == 0, less_memory.err
    before = set(new.parent.iterdir())
    for other in ("optimizer.lr=0.5", "model.width=9", "trainer.max_steps=7", "trainer.accelerator=nope"):
        refused = small(*LONGER, other, half)
        assert refused.code == 1 and other.split(".")[0] in refused.err
        assert set(new.parent.iterdir()) == before


def test_another_version_of_the_code_is_warned_of(small, interrupt, tmp_path):
    here = f"hydra.run.dir={tmp_path}/run"
    interrupt(6)
    small(*LONGER, here)
    provenance = tmp_path / "run" / "provenance.json"
    provenance.write_text(json.dumps({**json.loads(provenance.read_text()), "git_commit": "0" * 40}))
    assert "warning: continuing a run begun at commit 0000" in small(*LONGER, here).out


def test_checkpoints_hold_plain_types(small):
    state = final_state(small().run_directory)
    assert state["config"]["model"]["width"] == 8
    assert type(state["config"]) is dict


def test_all_checkpoints_are_kept_if_asked_for(small):
    run = small("checkpoint.keep=all").run_directory
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        f"step-{step:08d}.ckpt" for step in (0, 2, 4, 6)
    ]


TRAINS_LONG_ENOUGH = (
    "model=fcn",
    "model.width=32",
    "data.train_size=500",
    "trainer=cpu",
    "trainer.max_steps=1500",
    "trainer.val_check_interval=70",
    "checkpoint.every_n_steps=35",
    "callbacks.ntk.steps=250",
    "callbacks.ntk.probe_size=10",
    "logger=wandb",
)


@pytest.fixture
def start(tmp_path, request):
    """Starts a real process that trains in the folder of the given name."""

    # W&B's service of this process, which other tests start, would not learn that one of these was killed.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    environment["OMP_NUM_THREADS"] = "1"

    def process(name):
        return subprocess.Popen(
            [sys.executable, "train.py", *TRAINS_LONG_ENOUGH, f"hydra.run.dir={tmp_path}/{name}"],
            cwd=request.config.rootpath,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # As a terminal starts it: what runs in a script's background ignores Ctrl-C, and lets its children do so.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return process


def end_after(process, directory, step, signal_number):
    """Sends the signal once a checkpoint of `step` or later is there; returns the exit code and what was printed."""
    while process.poll() is None and not _has_reached(directory, step):
        time.sleep(0.02)
    process.send_signal(signal_number)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.slow
def test_ended_processes_continue(start, tmp_path):
    """Ctrl-C a process that trains, kill the next one, and let the same command finish."""
    whole = start("whole")
    assert whole.wait(120) == 0
    code, output = end_after(start("ended"), tmp_path / "ended", 300, signal.SIGINT)
    assert code == 130 and output.decode().splitlines()[-1].startswith("interrupted; the same command continues")
    assert b"Traceback" not in output and not (tmp_path / "ended" / "summary.json").exists()
    code, _ = end_after(start("ended"), tmp_path / "ended", 900, signal.SIGKILL)
    assert code == -signal.SIGKILL
    last = start("ended")
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and b"continuing from" in output, output.decode()
    assert_same_run(tmp_path / "whole", tmp_path / "ended")
    assert wandb_history(tmp_path / "whole") == wandb_history(tmp_path / "ended")


def _has_reached(directory, step):
    return any(int(path.stem.split("-")[1]) >= step for path in directory.glob("checkpoints/step-*.ckpt"))


@pytest.mark.slow
def test_wandb_has_the_steps_that_were_made_without_it(small, interrupt, tmp_path):
    """Begun with another logger, or continued from another run: what the offline run holds is that of one piece."""
    settings = (*LONGER, "checkpoint.keep=all")
    whole = small(*settings, "logger=wandb", f"hydra.run.dir={tmp_path}/whole").run_directory
    interrupt(14)
    small(*settings, "logger=csv", f"hydra.run.dir={tmp_path}/begun")
    begun = small(*settings, "logger=wandb", f"hydra.run.dir={tmp_path}/begun").run_directory
    half = f"resume={whole}/checkpoints/step-00000012.ckpt"
    continued = small(*settings, "logger=wandb", half, f"hydra.run.dir={tmp_path}/continued").run_directory
    assert wandb_history(whole) == wandb_history(begun) == wandb_history(continued)


@pytest.mark.parametrize("overrides", [(), ("ensemble.seeds=2", "ensemble.chunk=2")], ids=["run", "ensemble"])
def test_a_damaged_last_checkpoint_leaves_the_one_before_it(small, tmp_path, overrides):
    """The run then ends as if it had been interrupted there."""
    settings = (*LONGER, "checkpoint.keep=all", *overrides)
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    directory = small(*settings, f"hydra.run.dir={tmp_path}/damaged").run_directory
    (directory / "summary.json").unlink()  # as if killed before its end
    for result in directory.glob("chunks/*/replicas.json"):
        result.unlink()
    (folder,) = directory.glob("**/checkpoints")
    last, before = (folder / f"step-{step:08d}.ckpt" for step in (24, 20))
    last.write_bytes(last.read_bytes()[:1000])
    again = small(*settings, f"hydra.run.dir={directory}")
    assert again.code == 0, again.err
    assert [line for line in again.out.splitlines() if str(last) in line] == [
        f"warning: {last} cannot be read; continuing from the one before it that can, {before}"
    ]
    assert_same_whole_run(whole, directory)
