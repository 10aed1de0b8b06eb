"""What `python -m orthontk.runs` makes of the files of runs, whatever state they are in."""

import json
from pathlib import Path

import pytest

from made_runs import make_run
from orthontk.runs.collect import collect
from orthontk.sweep.record import Job, write_record


def by_name(root):
    return {entry.directory.name: entry for entry in collect(root)}


DAMAGES = {
    "summary of another kind": lambda run: (run / "summary.json").write_text("[]"),
    "summary without its parts": lambda run: (run / "summary.json").write_text('{"status": "finished"}'),
    "no settings": lambda run: (run / "config.yaml").write_text(""),
    "table of nothing": lambda run: (
        (run / "summary.json").unlink(),
        (run / "metrics.csv").write_text("\0" * 200_000),
    ),
    "configuration is gone": lambda run: (run / "config.yaml").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_run_is_named_and_hides_no_other(tmp_path, damage):
    make_run(tmp_path / "a" / "whole")
    DAMAGES[damage](make_run(tmp_path / "a" / "damaged"))
    entries = by_name(tmp_path)
    assert entries["whole"].status == "finished"
    assert entries["damaged"].status == "unreadable" and entries["damaged"].note


def test_a_job_is_listed_once_however_the_folder_is_named(tmp_path, monkeypatch):
    run = make_run(tmp_path / "x" / "run0")
    write_record(tmp_path / "x", ["train.py"], [Job(["seed=0"], "run0")])
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "x" / ".." / "x", Path("x", ".."), Path("x")):
        (entry,) = collect(root)
        assert entry.status == "finished" and entry.directory.samefile(run)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        (r"data.path='/nope/it\'s'", "/nope/it's"),
        ("data.path=@x", "@x"),
        ("data.path=1e-3", 1e-3),
        ("data.path=[", "["),
    ],
)
def test_a_missing_job_has_the_settings_that_it_was_given(tmp_path, override, value):
    write_record(tmp_path / "x", ["train.py"], [Job([override, "init=orthogonal", "data=mnist"], "run0")])
    (entry,) = collect(tmp_path)
    assert entry.values == {"status": "missing", "data.path": value, "init.scheme": "orthogonal"}


def test_unusual_settings_are_settings(tmp_path):
    make_run(tmp_path / "a" / "one", callbacks=["ntk", {"b": 1}], **{"model": {1: 2}})
    (tmp_path / "a" / "one" / "config.yaml").open("a").write("1: 2\n")
    (entry,) = collect(tmp_path)
    assert entry.values["callbacks"] == ["ntk", {"b": 1}] and entry.values["model.1"] == 2 and entry.values["1"] == 2


def test_a_folder_of_runs_may_be_called_wandb(tmp_path):
    run = make_run(tmp_path / "wandb" / "run")
    own = run / "wandb" / "offline-run-20260101_000000-ab" / "files"  # the folder that W&B itself writes to
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("wandb_version: 1\n")
    assert [(entry.directory, entry.status) for entry in collect(tmp_path)] == [(run, "finished")]


def test_ensembles_of_other_seeds_are_told_apart(tmp_path):
    group = {"init": "gaussian", "learning_rate": 0.1, "replicas": 2, "diverged": 0}
    for name, seeds in (("a", [0, 1]), ("b", [7, 8]), ("c", 2), ("d", None)):
        run = make_run(tmp_path / "x" / name, ensemble={"seeds": seeds, "inits": ["gaussian"]})
        summary = {"status": "finished", "groups": [group], "metrics": {}}
        (run / "summary.json").write_text(json.dumps(summary))
    values = [entry.values for entry in collect(tmp_path)]
    assert [one.get("ensemble.seeds") for one in values] == [[0, 1], [7, 8], 2, None]
    assert [one.get("seed") for one in values] == [None, None, 0, 0]  # of a number of seeds, the first


def test_what_a_run_at_work_measured_is_finite_or_none(tmp_path):
    run = make_run(tmp_path / "a" / "one", step=1)
    (run / "metrics.csv").write_text("step,train/loss,val/loss\n0,1.0,\n1,nan,inf\n")
    (entry,) = collect(tmp_path)
    assert entry.values["train/loss"] is None and entry.values["val/loss"] is None
