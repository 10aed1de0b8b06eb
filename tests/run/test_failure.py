"""A run that raised says why in its directory, until it is run again."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from orthontk.run.failure import read_failure
from orthontk.run.lock import holder_of, locked
from orthontk.training import TrainingModule


def test_reason_and_traceback_until_the_next_start(small, monkeypatch, tmp_path):
    training_step, here = TrainingModule.training_step, f"hydra.run.dir={tmp_path}/run"

    def fails(self, batch, batch_index):
        raise MemoryError("the batch is too large")

    monkeypatch.setattr(TrainingModule, "training_step", fails)
    failed = small(here)
    lines = (tmp_path / "run" / "failure.txt").read_text().splitlines()
    assert failed.code == 1 and failed.err.splitlines()[-1] == f"error: {lines[0]}"
    line = fails.__code__.co_firstlineno + 1
    assert lines[0] == f"MemoryError: the batch is too large at {__file__}:{line}"  # code of a user's own, as here
    assert "Traceback (most recent call last):" in lines and any("in fails" in line for line in lines)
    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    assert small(here).code == 0 and not (tmp_path / "run" / "failure.txt").exists()


def test_a_refused_single_run_leaves_no_directory(small, tmp_path):
    for refused in ("model.width=0", "optimizer.lr=-1", "trainer.precision=8"):
        assert small(refused).code == 1
    assert not list((tmp_path / "outputs" / "default").iterdir())
    assert small("-m", "model.width=0").code == 1  # its record has this job, which failed
    (directory,) = (tmp_path / "outputs" / "default").glob("fcn-*")
    assert (directory / "failure.txt").exists()


def test_a_refused_single_run_leaves_what_is_a_users_own(small, tmp_path):
    """An empty folder as well, which whoever named it may have made for the run."""
    notes = tmp_path / "run" / "failure-analysis.txt"
    notes.parent.mkdir()
    assert small("seed=-1", f"hydra.run.dir={notes.parent}").code == 1 and notes.parent.is_dir()
    notes.write_text("of my own")
    assert read_failure(notes.parent) is None
    assert small("seed=-1", f"hydra.run.dir={notes.parent}").code == 1
    assert notes.read_text() == "of my own"
    assert small("resume=never", f"hydra.run.dir={notes.parent}").run_directory.name == "run-2"


def test_a_lock_whose_file_is_removed_is_taken_again(tmp_path):
    """Who waited for a run that was refused, and left nothing, holds the file that others look at."""
    entered, path = threading.Event(), tmp_path / "run"

    def wait():
        with locked(path, patience=10.0):
            entered.set()
            assert holder_of(path) is not None

    with ThreadPoolExecutor(1) as pool:
        with locked(path):
            waiting = pool.submit(wait)
            time.sleep(0.2)
            assert not entered.is_set()
            (path / ".lock").unlink()
            path.rmdir()
        waiting.result(timeout=10)
    assert (path / ".lock").exists()


def test_never_starts_where_a_refused_run_left_nothing_else(small):
    """What a refusal leaves does not count as a run that `resume=never` must go beside."""
    assert small("resume=never", "data.train_size=3").code == 1
    once = small("resume=never").run_directory
    twice = small("resume=never").run_directory
    assert twice.name == f"{once.name}-2"
