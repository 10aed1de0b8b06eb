"""Grids of runs, and what the command prints."""

import os
import re
import subprocess
import sys

import pytest

from small_run import SMALL


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_grid_with_a_failing_job(tmp_path, request, launcher):
    """The other jobs finish, the failed one is named at the end with its reason, and the exit code is 1."""
    overrides = [*SMALL, "logger=wandb", "model=fcn", "init=gaussian,orthogonal", "model.depth=2,0"]
    command = [sys.executable, "train.py", "-m", *overrides, f"hydra/launcher={launcher}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, f"paths.output_dir={tmp_path}"],
        cwd=request.config.rootpath,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
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
    again = small("-m", "seed=7,8")
    assert again.code == 0, again.err
    assert f"finished already: {alone.run_directory}" in again.out
    assert len(list((tmp_path / "outputs" / "default").glob("*/summary.json"))) == 2


def test_mistyped_choice_stops_a_grid_before_it_starts(small):
    result = small("-m", "init=gaussian,gausian")
    assert result.code == 1 and result.err == (
        "error: init=gausian: expected one of delta_orthogonal, flat_orthogonal, gaussian, orthogonal\n"
    )


def test_help_reads_as_documentation(train):
    result = train("--help")
    assert result.code == 0
    assert "python train.py model=cnn init=orthogonal" in result.out
    assert re.search(r"^init: delta_orthogonal, flat_orthogonal, gaussian, orthogonal$", result.out, re.MULTILINE)


def test_plain_when_not_a_terminal(tmp_path, request):
    """Into a file: no carriage returns, no control sequences, a closing table, and where things are."""
    overrides = [o for o in SMALL if "progress" not in o]
    done = subprocess.run(
        [sys.executable, "train.py", "model=fcn", *overrides, f"paths.output_dir={tmp_path}"],
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "\r" not in done.stderr + done.stdout and "\x1b" not in done.stderr + done.stdout
    assert "6/6" in done.stderr and "test accuracy" in done.stdout and f"Results: {tmp_path}" in done.stdout
    assert "Warning" not in done.stderr, done.stderr
