"""A run directory has one process at a time, and none once that process has ended, however it ended."""

import signal
import subprocess
import sys
import time

import pytest

from orthontk.files import write_json
from orthontk.run.lock import InUse, holder_of, locked, wait_for_first_process

HOLD = """
import sys, time
from pathlib import Path
from orthontk.run.lock import InUse, locked
try:
    with locked(Path(sys.argv[1]), patience=0.0):
        print("held", flush=True)
        time.sleep(float(sys.argv[2]))
except InUse:
    print("refused", flush=True)
"""

FOLLOW = """
import sys, time
from pathlib import Path
from orthontk.run import lock
def look(path, holder_of=lock.holder_of):
    holder = holder_of(path)
    print(holder, flush=True)
    return holder
lock.holder_of = look
with lock.ending_with_holder(Path(sys.argv[1])):
    time.sleep(60)
"""

WATCH = """
import sys
from pathlib import Path
from orthontk.run.lock import holder_of
while True:
    holder_of(Path(sys.argv[1]))
"""


@pytest.fixture
def hold(tmp_path):
    """Starts a process that holds the test's folder for some seconds; all are ended with the test."""
    started = []

    def start(seconds=60.0):
        command = [sys.executable, "-c", HOLD, str(tmp_path / "run"), str(seconds)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_second_process_is_refused_until_the_first_is_killed(hold, tmp_path):
    path = tmp_path / "run"
    assert holder_of(path) is None
    first = hold()
    assert first.stdout.readline() == "held\n"
    assert holder_of(path).pid == first.pid
    with pytest.raises(InUse, match=rf"being run by another process \(host .*, pid {first.pid}\)"), locked(path):
        pass
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert holder_of(path) is None
    with locked(path, patience=0.0):
        assert holder_of(path) is not None
    assert holder_of(path) is None


def test_one_of_many_that_race_wins(hold):
    answers = [process.stdout.readline() for process in [hold() for _ in range(8)]]
    assert sorted(answers) == ["held\n"] + 7 * ["refused\n"]


def test_looking_at_a_lock_never_keeps_a_start_out(tmp_path):
    path = tmp_path / "run"
    with locked(path):
        pass
    watcher = subprocess.Popen([sys.executable, "-c", WATCH, str(path)])
    try:
        for _ in range(50):
            with locked(path):
                pass
    finally:
        watcher.kill()
        watcher.wait()


def test_requeued_job_waits_for_what_was_before_it(hold, tmp_path, monkeypatch):
    first = hold(seconds=2.5)
    assert first.stdout.readline() == "held\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    with locked(tmp_path / "run"):
        assert holder_of(tmp_path / "run").pid != first.pid


def test_other_processes_of_a_run_go_with_its_first(tmp_path, monkeypatch):
    """They hold nothing; they go on if the lock is their own job's, or if there is nothing left to do."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    with locked(tmp_path):
        wait_for_first_process(tmp_path)
        monkeypatch.setenv("SLURM_JOB_ID", "18")
        with pytest.raises(InUse):
            wait_for_first_process(tmp_path)
        write_json(tmp_path / "summary.json", {"status": "finished"})
        wait_for_first_process(tmp_path)


def test_other_processes_wait_for_the_first(hold, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    start = time.monotonic()
    hold()
    wait_for_first_process(tmp_path / "run")
    assert holder_of(tmp_path / "run").job == "17" and time.monotonic() - start < 30


@pytest.fixture
def follow(hold, tmp_path):
    """(the process that holds the test's folder, another one of its run, which has seen that)"""
    first = hold()
    assert first.stdout.readline() == "held\n"
    command = [sys.executable, "-c", FOLLOW, str(tmp_path / "run")]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert f"pid {first.pid}" in other.stdout.readline()
    yield first, other
    other.kill()
    other.wait()


def test_other_processes_end_with_the_first(follow):
    first, other = follow
    first.kill()
    _, err = other.communicate(timeout=30)
    assert other.returncode == 1 and f"pid {first.pid}) has ended" in err


def test_other_processes_end_when_another_launch_has_the_lock(follow, tmp_path):
    first, other = follow
    first.kill()
    with locked(tmp_path / "run", patience=10.0):
        assert other.wait(timeout=30) == 1


def test_other_processes_come_to_their_end_after_the_first(follow, tmp_path):
    first, other = follow
    write_json(tmp_path / "run" / "summary.json", {"status": "finished"})
    first.kill()
    looks = [other.stdout.readline() for _ in range(4)]
    assert looks[-1] == "None\n" and other.poll() is None
