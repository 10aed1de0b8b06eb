"""`python -m orthontk.sweep status DIR`: what is done, running, failed, interrupted and missing, with reasons."""

import os
import shutil
import socket
import subprocess
import sys

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from orthontk.files import read_json
from orthontk.run.lock import locked
from orthontk.sweep.overview import describe_entries, entries_under, sweeps_under
from orthontk.sweep.record import write_record
from orthontk.sweep.retry import command_of
from orthontk.training import TrainingModule


def status(root):
    """What the command prints, as a line for each job: its state by the seed that its directory names."""
    heading, *lines = describe_entries(root, entries_under(root, sweeps_under(root))).splitlines()
    words = [line.split(maxsplit=2) for line in lines]
    return heading, {name.rsplit("-seed", 1)[1].split("-")[0]: (kind, *reason) for kind, name, *reason in words}


def sweep(*arguments):
    return subprocess.run([sys.executable, "-m", "orthontk.sweep", *arguments], capture_output=True, text=True)


@pytest.fixture
def five_states(small, tmp_path, monkeypatch):
    """A multirun of five jobs: seed 0 done, 1 running once the test holds it, 2 failed, 3 interrupted, 4 missing."""
    training_step = TrainingModule.training_step

    def failing_step(self, batch, batch_index):
        if self.config["seed"] == 2 and self.global_step == 3:
            raise FloatingPointError("no step is left")
        return training_step(self, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", failing_step)
    result = small("-m", "seed=0,1,2,3,4", "callbacks.ntk.steps=[0]")
    assert result.code == 1 and "1 of 5 jobs failed" in result.err, result.err
    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    directories = {seed: next((tmp_path / "outputs" / "default").glob(f"*-seed{seed}-*")) for seed in range(5)}
    for seed in (1, 3):
        (directories[seed] / "summary.json").unlink()
    shutil.rmtree(directories[4])
    return directories


def test_every_state_is_told_with_its_reason(five_states, tmp_path):
    root = tmp_path / "outputs"
    with locked(five_states[1]):
        heading, jobs = status(root)
    assert heading == f"5 jobs in {root}: 1 done, 1 running, 1 failed, 1 interrupted, 1 missing"
    assert jobs["0"] == ("done",)
    assert jobs["1"] == ("running", f"host {socket.gethostname()}, pid {os.getpid()}; checkpoint at step 6")
    kind, reason = jobs["2"]
    failure = five_states[2] / "failure.txt"
    assert kind == "failed" and reason.startswith("FloatingPointError: no step is left")
    assert reason.endswith(f"(traceback: {failure})") and "in failing_step" in failure.read_text()
    assert jobs["3"] == ("interrupted", "checkpoint at step 6")
    assert jobs["4"] == ("missing", "not started")


@pytest.mark.slow
def test_retry_starts_again_what_is_not_done(five_states, tmp_path):
    """With the recorded overrides; running jobs are left alone, and a changed launcher is the record's from then on."""
    root, done = tmp_path / "outputs", five_states[0] / "summary.json"
    before = done.stat().st_mtime_ns
    with locked(five_states[1]):
        again = sweep("retry", str(root), "--launcher=joblib")
    assert again.returncode == 1 and "5 jobs: 1 finished already, 1 running elsewhere, 3 to run" in again.stdout
    assert "Joblib.Parallel" in again.stdout and "being run by another process" in again.stderr
    heading, jobs = status(root)
    assert heading == f"5 jobs in {root}: 4 done, 1 interrupted" and jobs["1"][0] == "interrupted"
    assert done.stat().st_mtime_ns == before and not (five_states[2] / "failure.txt").exists()
    last = sweep("retry", str(root))
    assert last.returncode == 0 and "Joblib.Parallel" in last.stdout
    printed = sweep("status", str(root))
    assert printed.stdout.startswith(f"5 jobs in {root}: 5 done\n")
    assert sweep("retry", str(root)).stdout == f"5 jobs in {root}, 0 of them to start again\n"


def test_retry_where_the_folder_was_moved(small, tmp_path):
    assert small("-m", "seed=0,1").code == 0
    moved = (tmp_path / "outputs").rename(tmp_path / "Ada's, moved") / "default"
    (only,) = sweeps_under(moved)
    assert all((job / "summary.json").exists() for job in only.jobs)
    override = OverridesParser.create().parse_override(command_of(only, None)[-1])
    assert override.key_or_group == "hydra.sweep.dir" and override.value() == str(moved)
    assert [job["overrides"][-2] for job in read_json(next(moved.glob(".sweeps/*.json")))["jobs"]] == [
        "seed=0",
        "seed=1",
    ]


def test_retry_of_a_command_whose_flags_came_last(tmp_path):
    write_record(tmp_path / "outputs", ["/a/train.py", "seed=0,1", "-cd", "mine", "-m"], [])
    (only,) = sweeps_under((tmp_path / "outputs").rename(tmp_path / "moved"))
    _, *command, launcher, place = command_of(only, "joblib")
    assert command == ["/a/train.py", "-cd", "mine", "-m", "seed=0,1"]
    assert (launcher, place) == ("hydra/launcher=joblib", f"hydra.sweep.dir={only.directory}")
    write_record(only.directory, command, [])
    assert len(sweeps_under(only.directory)) == 1  # of the same multirun


def test_single_runs_are_seen_and_their_failures_told(small, tmp_path, monkeypatch):
    def fails(self, batch, batch_index):
        raise FloatingPointError("no step is left")

    monkeypatch.setattr(TrainingModule, "training_step", fails)
    assert small().code == 1
    heading, _ = status(tmp_path / "outputs")
    assert heading.endswith("1 job in " + str(tmp_path / "outputs") + ": 1 failed")
    again = sweep("retry", str(tmp_path / "outputs"))
    assert again.returncode == 0 and "its own command continues it" in again.stdout
    shown = sweep("status", str(tmp_path / "outputs"))
    assert "failed" in shown.stdout and "FloatingPointError: no step is left" in shown.stdout


def test_no_such_folder():
    refused = sweep("status", "nowhere")
    assert refused.returncode == 1
    assert refused.stderr == "error: DIR=nowhere: expected a folder of runs, such as outputs/default\n"
