"""How far a sweep is, from the files that it leaves."""

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from made_runs import make_run
from orthontk.report.gather import gather
from orthontk.report.sweeps import sweeps_in
from orthontk.report.watch import watch
from orthontk.report.write import Reporter
from orthontk.run.lock import locked

NOW = time.time()


def sweeps_of(root):
    found = gather(root)
    return sweeps_in(root, [*found.runs, *found.unfinished], NOW)


def begin(folder, *task, seconds_ago, grids=None):
    """What Hydra leaves when a sweep begins."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"overrides": {"task": list(task)}, "sweeper": {"grids": grids}}
    (folder / "multirun.yaml").write_text(yaml.safe_dump({"hydra": settings}))
    age(folder / "multirun.yaml", seconds_ago)


def record(folder, name, seconds_ago, jobs, **settings):
    """What the sweep's own record says: jobs in run0, run1, …"""
    (folder / ".sweeps").mkdir(parents=True, exist_ok=True)
    own = [{"overrides": [f"seed={seed}"], "directory": f"run{seed}"} | settings for seed in range(jobs)]
    launched = datetime.fromtimestamp(NOW - seconds_ago, UTC).isoformat(timespec="milliseconds")
    (folder / ".sweeps" / f"{name}.json").write_text(json.dumps({"launched": launched, "jobs": own}))


def age(path, seconds):
    os.utime(path, (NOW - seconds, NOW - seconds))


def test_jobs_rate_and_time_left(tmp_path):
    folder = tmp_path / "speed"
    begin(folder, "seed=0,1,2,3", "name=speed", seconds_ago=60)
    for seed in (0, 1):
        make_run(folder / f"run{seed}", overrides=[f"seed={seed}", "name=speed"])
    make_run(folder / "other", overrides=["seed=9", "name=speed"])  # of another sweep
    with locked(make_run(folder / "run2", step=5, overrides=["name=speed", "seed=2"])):
        (sweep,) = sweeps_of(tmp_path)
    assert (sweep.jobs, sweep.done, sweep.running) == (4, 2, 1)
    assert (sweep.new, sweep.part, sweep.elapsed) == (2, 0.5, pytest.approx(60))
    assert sweep.seconds_left == pytest.approx(1.5 * 60 / 2.5)  # a job and a half are not done
    assert sweep.in_words() == "speed: 2 of 4 jobs done, 1 running, 2.5 jobs a minute, about 36 s left"


def test_what_was_done_before_is_no_work_of_this_sweep(tmp_path):
    folder = tmp_path / "speed"
    begin(folder, "seed=0,1", seconds_ago=10)
    age(make_run(folder / "run0", overrides=["seed=0"]) / "summary.json", 1000)
    with locked(make_run(folder / "run1", step=1, overrides=["seed=1"])):
        (sweep,) = sweeps_of(tmp_path)
    assert (sweep.done, sweep.new, sweep.part) == (1, 0, pytest.approx(0.1))


def test_a_job_that_no_process_holds_does_not_run(tmp_path):
    begin(tmp_path / "speed", "seed=0,1", seconds_ago=1000)
    make_run(tmp_path / "speed" / "run0", step=3, overrides=["seed=0"])
    (sweep,) = sweeps_of(tmp_path)
    assert sweep.running == 0 and not sweep.is_over and sweep.seconds_left is None
    assert sweep.in_words() == "speed: 0 of 2 jobs done, 0 running"


def test_a_sweep_is_over_when_all_its_jobs_are_done_or_have_failed(tmp_path):
    folder = tmp_path / "speed"
    record(folder, "new", 30, 3)
    make_run(folder / "run0")
    (make_run(folder / "run1", step=4) / "failure.txt").write_text("loss: broke\n\nTraceback …\n")
    assert sweeps_of(tmp_path)[0].in_words() == "speed: 1 of 3 jobs done, 1 failed, 0 running"
    (folder / "run2").mkdir()
    (folder / "run2" / "failure.txt").write_text("refused before it had a configuration\n")
    (sweep,) = sweeps_of(tmp_path)
    assert sweep.is_over and sweep.in_words() == "speed: 1 of 3 jobs done, 2 failed"


def test_runs_begun_anew_are_those_of_this_launch(tmp_path):
    """With `resume=never`: what earlier launches did in the same directories and beside them is none of it."""
    folder = tmp_path / "speed"
    record(folder, "anew", 30, 3, again=True)
    for name in ("run0", "run0-2", "run1"):
        age(make_run(folder / name) / "provenance.json", 60)
    assert sweeps_of(tmp_path)[0].in_words() == "speed: 0 of 3 jobs done, 0 running"
    make_run(folder / "run0-3")
    (make_run(folder / "run1-2", step=4) / "failure.txt").write_text("loss: broke\n")
    with locked(make_run(folder / "run2", step=5)):
        (sweep,) = sweeps_of(tmp_path)
    assert (sweep.done, sweep.failed, sweep.running, sweep.new, sweep.part) == (1, 1, 1, 1, 0.5)


def test_a_finished_job_that_cannot_be_read_is_done(tmp_path):
    record(tmp_path / "speed", "new", 30, 2)
    make_run(tmp_path / "speed" / "run0")
    (make_run(tmp_path / "speed" / "run1") / "metrics.csv").write_bytes(b"\0\xff")
    (sweep,) = sweeps_of(tmp_path)
    assert sweep.is_over and sweep.in_words() == "speed: 2 of 2 jobs done"


def test_jobs_are_counted_once_however_the_folder_is_named(tmp_path, monkeypatch):
    record(tmp_path / "speed", "new", 30, 3)
    make_run(tmp_path / "speed" / "run0")
    (make_run(tmp_path / "speed" / "run1", step=4) / "failure.txt").write_text("loss: broke\n")
    monkeypatch.chdir(tmp_path / "speed")
    for root in (Path(), Path(".."), Path("..", "speed"), Path("run0", "..", "..")):
        (sweep,) = sweeps_of(root)
        assert (sweep.name, sweep.done, sweep.failed, sweep.is_over) == ("speed", 1, 1, False)


def test_the_grid_of_a_preset(tmp_path):
    grids = {"quick": [{"seed": "0,1"}], "paper": [{"seed": "range(30)"}]}
    begin(tmp_path / "a", "name=a", seconds_ago=5, grids=grids)
    begin(tmp_path / "b", "scale=paper", seconds_ago=5, grids=grids)
    assert [sweep.jobs for sweep in sweeps_of(tmp_path)] == [2, 30]


def test_a_sweeps_own_record_is_preferred(tmp_path):
    folder = tmp_path / "speed"
    begin(folder, "seed=0", seconds_ago=5)
    record(folder, "old", 500, 1)
    record(folder, "new", 30, 3)
    make_run(folder / "run1", overrides=["whatever"])
    (sweep,) = sweeps_of(tmp_path)
    assert (sweep.jobs, sweep.done) == (3, 1)


@pytest.mark.parametrize("text", ["", "hydra: 3", "hydra: {overrides: {task: ['a=[']}, sweeper: {}}"])
def test_a_record_that_cannot_be_read_is_none(tmp_path, text):
    run = make_run(tmp_path / "speed" / "run0", step=3)
    (tmp_path / "speed" / "multirun.yaml").write_text(text)
    with locked(run):
        (sweep,) = sweeps_of(tmp_path)  # as its run is at work
    assert sweep.jobs is None and sweep.in_words().startswith("speed: 0 jobs done, 1 running")


def test_watching_survives_a_folder_that_vanishes_while_it_is_read(tmp_path, monkeypatch, capsys):
    begin(tmp_path / "speed", "seed=0,1", seconds_ago=10)
    make_run(tmp_path / "speed" / "run0", overrides=["seed=0"])
    failed = make_run(tmp_path / "speed" / "run1", step=2, overrides=["seed=1"])
    (failed / "failure.txt").write_text("loss: broke\n")
    updates, original = [], Reporter.update

    def update(reporter):
        updates.append(len(updates))
        if len(updates) == 1:
            raise FileNotFoundError(tmp_path / "speed" / "run0" / "checkpoints")
        original(reporter)

    monkeypatch.setattr(Reporter, "update", update)
    watch(tmp_path, tmp_path / "report", every=0.01)
    printed = capsys.readouterr().out
    assert "run1: failed: loss: broke" in printed and "Report: " in printed  # as the report prints
    assert updates == [0, 1] and (tmp_path / "report" / "index.html").exists()  # and it ends, as the sweep is over
