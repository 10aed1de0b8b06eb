"""`python -m orthontk.report DIR --watch`: it follows a sweep to its end."""

import subprocess
import sys
import time

import pytest
import yaml

from made_runs import make_run
from orthontk.run.lock import locked

pytestmark = pytest.mark.slow


def started(folder, *arguments):
    command = [sys.executable, "-m", "orthontk.report", str(folder), "--watch", "1", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(page, text, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if page.exists() and text in page.read_text():
            return
        time.sleep(0.2)
    raise AssertionError(f"{text!r} did not come")


@pytest.fixture
def sweep(tmp_path):
    """A sweep of two jobs, one of which is at work."""
    make_run(tmp_path / "speed" / "run0", overrides=["seed=0"])
    settings = {"overrides": {"task": ["seed=0,1"]}, "sweeper": {"grids": None}}
    (tmp_path / "speed" / "multirun.yaml").write_text(yaml.safe_dump({"hydra": settings}))
    make_run(tmp_path / "speed" / "run1", step=4, overrides=["seed=1"])
    return tmp_path


def test_it_ends_with_the_sweep(sweep):
    process, page = started(sweep, "--csv"), sweep / "report" / "index.html"
    with locked(sweep / "speed" / "run1"):
        wait_for(page, "speed: 1 of 2 jobs done, 1 running")
    assert '"reload": 1' in page.read_text()
    (sweep / "speed" / "run1").rename(sweep / "run1")
    make_run(sweep / "speed" / "run1", overrides=["seed=1"])
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "speed: 1 of 2 jobs done, 1 running" in printed
    assert '"reload": null' in page.read_text() and "speed/run1" in page.read_text()
    assert (sweep / "report" / "curves.csv").exists()


def test_failed_jobs_are_told_at_the_end(sweep):
    (sweep / "speed" / "run1" / "failure.txt").write_text("model.width=0: expected an integer\n")
    process = started(sweep)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and "speed: 1 of 2 jobs done, 1 failed" in printed
    assert f"python -m orthontk.sweep status {sweep} says why" in printed


def test_a_polite_kill_leaves_a_page_that_does_not_reload(sweep):
    process, page = started(sweep), sweep / "report" / "index.html"
    wait_for(page, '"reload": 1')
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 0 and '"reload": null' in page.read_text()


def test_seconds_are_checked(tmp_path):
    command = [sys.executable, "-m", "orthontk.report", str(tmp_path), "--watch", "soon"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (
        result.returncode == 1 and result.stderr == "error: --watch=soon: expected a number of seconds of at least 1\n"
    )
