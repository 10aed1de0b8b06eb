"""Grids of runs, and what the command prints."""

import os
import re
import socket

import pytest

import orthontk.extras
from hydra_plugins import orthontk_sweeper
from launched import launched
from orthontk.grids import refuse_several
from orthontk.report.gather import gather
from orthontk.report.sweeps import sweeps_in
from orthontk.run import execute
from orthontk.run.lock import locked
from orthontk.sweep.overview import sweeps_under
from small_run import SMALL


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_grid_with_a_failing_job(tmp_path, launcher):
    """The other jobs finish, the failed one is named at once and at the end with its reason, and the exit code is 1."""
    overrides = [*SMALL, "logger=wandb", "model=fcn", "init=gaussian,orthogonal", "model.depth=2,0"]
    done = launched("-m", *overrides, f"hydra/launcher={launcher}", f"paths.output_dir={tmp_path}")
    assert done.returncode == 1
    at_once = re.findall(r"^fcn-(\w+)-tanh-L0-.*: failed; model\.depth=0: expected", done.stdout, re.MULTILINE)
    assert sorted(at_once) == ["gaussian", "orthogonal"]
    end = done.stderr[done.stderr.rindex("error: ") :].splitlines()
    assert end[0] == "error: 2 of 4 jobs failed; the results of the others stand"
    assert len(end) == 3 and all("model.depth=0: expected" in line for line in end[1:])
    assert "Traceback" not in done.stderr
    finished = sorted(path.parent.name for path in tmp_path.glob("default/*/summary.json"))
    assert [name.split("-")[1] for name in finished] == ["gaussian", "orthogonal"]
    for name in finished:  # W&B runs do not leak into one another
        assert len(list(tmp_path.glob(f"default/{name}/wandb/offline-run-*"))) == 1


def test_same_run_same_place_in_run_and_multirun(small, tmp_path):
    alone = small("seed=7")
    assert small("seed=7").out.startswith(f"finished already: {alone.run_directory}")
    more = small("-m", "seed=7,8")
    assert more.code == 0, more.err
    assert "2 jobs: 1 finished already, 1 to run" in more.out and "Launching 1 jobs" in more.out
    again = small("-m", "seed=7,8,8")
    assert again.code == 0 and "3 jobs: 2 finished already, 1 the same run as another, 0 to run" in again.out
    assert "Launching" not in again.out
    assert len(list((tmp_path / "outputs" / "default").glob("*/summary.json"))) == 2


def test_a_multirun_ends_with_its_runs_side_by_side(small, tmp_path, monkeypatch):
    """Two lines for each job, and a table of these runs alone, those that were finished before among them."""
    small("seed=9")
    small("seed=7")
    done = small("-m", "seed=7,8")
    assert done.code == 0 and "measured at the end" not in done.out
    assert re.search(r"seed8-\w+: 6 steps, .*test accuracy 0\.\d+", done.out)
    table = done.out[done.out.index("┏") :]
    assert [line.split("│")[3].strip() for line in table.splitlines() if line.startswith("│")] == ["7", "8"]
    monkeypatch.setattr(orthontk_sweeper, "MOST_COMPARED", 1)
    many = small("-m", "seed=7,8").out
    assert "2 runs; python -m orthontk.runs" in many and "┏" not in many
    assert "2 runs: 2 finished" in table and f"{tmp_path}/outputs/default/*-RUN" in table


@pytest.mark.slow
def test_a_multirun_of_runs_begun_anew_ends_with_those(small, tmp_path):
    for suffix in ("", "-2", "-3"):
        launch = small("-m", "seed=7,8", "resume=never")
        assert launch.code == 0, launch.err
        rows = [line.split("│")[1].strip() for line in launch.out.splitlines() if line.startswith("│")]
        assert len(rows) == 2 and all(re.fullmatch(r"[0-9a-f]{8}" + suffix, row) for row in rows)
        (sweep,) = sweeps_in(tmp_path / "outputs", gather(tmp_path).runs)
        assert (sweep.jobs, sweep.done, sweep.new) == (2, 2, 2)


def test_runs_of_another_launch_are_left_to_it(small):
    """Told in one line, in a multirun before anything is launched; the directory stays as it is."""
    directory = small("seed=7").run_directory
    (directory / "summary.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.name != ".lock"}
    with locked(directory):
        alone, several = small("seed=7"), small("-m", "seed=7,8")
    who = f"being run by another process (host {socket.gethostname()}, pid {os.getpid()})"
    assert alone.code == 1 and alone.err == f"error: {directory}: {who}\n"
    assert several.code == 1 and "2 jobs: 1 running elsewhere, 1 to run" in several.out
    first, second = several.err[several.err.index("error: ") :].splitlines()
    assert first == "error: 1 of 2 jobs left to another launch" and "seed=7 " in second and second.endswith(who)
    assert before == {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.name != ".lock"}
    assert small("-m", "seed=7,8").code == 0


@pytest.mark.parametrize("launcher, extra", [("ray", "ray"), ("slurm", "slurm"), ("submitit_slurm", "slurm")])
def test_launcher_without_its_extra(small, monkeypatch, launcher, extra):
    monkeypatch.setattr(orthontk.extras, "find_spec", lambda name: None)
    refused = small("-m", f"hydra/launcher={launcher}")
    assert refused.code == 1
    assert refused.err == f"error: hydra/launcher={launcher}: expected pip install 'orthontk[{extra}]' first\n"


def test_mistyped_choice_stops_a_grid_before_it_starts(small):
    result = small("-m", "init=gaussian,gausian")
    assert result.code == 1 and result.err == (
        "error: init=gausian: expected one of delta_orthogonal, flat_orthogonal, gaussian, none, orthogonal\n"
    )


def test_help_reads_as_documentation(train):
    result = train("--help")
    assert result.code == 0
    assert "python train.py model=cnn init=orthogonal" in result.out
    assert re.search(r"^init: delta_orthogonal, flat_orthogonal, gaussian, none, orthogonal$", result.out, re.MULTILINE)


def test_plain_when_not_a_terminal(tmp_path):
    """Into a file: no carriage returns, no control sequences, a closing table, and where things are."""
    done = launched("model=fcn", *(o for o in SMALL if "progress" not in o), f"paths.output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr + done.stdout and "\x1b" not in done.stderr + done.stdout
    assert "6/6" in done.stderr and "test accuracy" in done.stdout and f"Results: {tmp_path}" in done.stdout
    assert "Warning" not in done.stderr, done.stderr


def test_dry_run_for_slurm_needs_none(small, tmp_path):
    sweep = ("-m", "hydra/launcher=slurm", "hydra.launcher.dry_run=true", "seed=1,2", "hydra.launcher.account=lab")
    result = small(*sweep)
    assert result.code == 0, result.err
    assert "#SBATCH --array=0-1%2" in result.out and "#SBATCH --account=lab" in result.out
    assert "2 jobs would be submitted" in result.out and "1: " in result.out.splitlines()[-1]
    assert not list(tmp_path.glob("outputs/default/fcn-*"))
    assert sweeps_under(tmp_path / "outputs") == []  # whose jobs would be missing
    assert sweeps_in(tmp_path / "outputs", []) == []  # which a report would wait for


def test_slurm_without_slurm_is_one_line(small, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    result = small("-m", "hydra/launcher=slurm", "seed=1,2")
    assert result.code == 1 and len(result.err.splitlines()) == 1
    assert result.err.startswith("error: hydra/launcher=slurm: expected another launcher")


BY_HAND = "hydra.sweep.subdir='s${seed}'"


def test_finished_jobs_in_directories_named_by_hand_are_those_of_their_settings_only(small, tmp_path):
    """Refused by key, as a single run is, before any job is launched."""
    done = small("-m", "seed=7,8", BY_HAND)
    assert done.code == 0, done.err
    again = small("-m", "seed=7,8", BY_HAND, "figures=true")
    assert again.code == 0 and "2 jobs: 2 finished already, 0 to run" in again.out
    directory = tmp_path / "outputs" / "default" / "s8"
    (directory.with_name("s7") / "summary.json").unlink()
    refused = small("-m", "seed=7,8", BY_HAND, "optimizer.lr=0.7")
    assert refused.code == 1 and "Launching" not in refused.out
    assert (
        refused.err.startswith("error: optimizer.lr=0.7: expected 2, ") and f"finished run {directory} " in refused.err
    )
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("argument", ["name=a,b", "paths.output_dir=a,b"])
def test_a_multirun_is_in_one_folder(small, argument):
    """Where `sweep status` and `sweep retry` find its jobs."""
    refused = small("-m", argument)
    accepted = "one at a time, since a multirun is recorded in one folder"
    assert refused.code == 1 and refused.err == f"error: {argument}: expected {accepted}\n"


def test_a_comma_in_a_folders_name_sweeps_nothing():
    refuse_several(["paths.output_dir='/a,b'", "name=a", "seed=0,1"])


def test_a_launch_that_waited_for_another_reports_to_its_agent(small, monkeypatch):
    """As one does that finds the run finished at once."""
    run, reported, answers = small(), [], iter([False, True])
    monkeypatch.setattr(execute, "is_finished", lambda path: next(answers))
    monkeypatch.setattr(execute, "_report_to_agent", lambda config, path: reported.append(path))
    assert small().out.startswith("finished already") and reported == [run.run_directory]


def test_a_directory_named_by_hand_is_of_one_run(small):
    refused = small("-m", "seed=7", "model.width=8,9", BY_HAND)
    assert refused.code == 1 and "Launching" not in refused.out
    assert refused.err.startswith("error: model.width=9: expected 8, as in another job in the directory ")
    assert refused.err.count("\n") == 1
