"""Any folder of runs can be read, whatever state they are in."""

import json
import shutil

import pytest

from orthontk.report.gather import gather

STUDY = ("experiment=depth_fluctuation", "model.depth=2", "callbacks.kernel_fluctuation.draws=20", "model.width=8")


@pytest.fixture
def folder(train, tmp_path):
    for init in ("gaussian", "orthogonal"):
        assert train(*STUDY, f"init={init}").code == 0
    return tmp_path / "outputs"


def broken_copies(run):
    """A run that was killed, and damage of several kinds."""
    damage = {
        "killed": lambda copy: (copy / "summary.json").unlink(),
        "half-summary": lambda copy: (copy / "summary.json").write_text('{"status": "fin'),
        "no-metrics": lambda copy: (copy / "metrics.csv").unlink(),
        "bad-metrics": lambda copy: (copy / "metrics.csv").write_text("step,a\n0,x\n"),
        "bad-config": lambda copy: (copy / "config.yaml").write_bytes(b"\xff: ["),
        "empty-config": lambda copy: (copy / "config.yaml").write_text(""),
    }
    for name, make in damage.items():
        copy = run.parent / name
        shutil.copytree(run, copy)
        make(copy)
    return set(damage)


def test_what_is_broken_is_skipped_and_named(folder):
    runs = sorted(path.parent for path in folder.glob("*/*/summary.json"))
    names = broken_copies(runs[0])
    for place in ("wandb/run-20260101_000000-ab/files", ".hydra"):  # where W&B writes, and Hydra unless told otherwise
        (runs[0] / place).mkdir(parents=True)
        (runs[0] / place / "config.yaml").write_text("a: 1")
    found = gather(folder)
    assert sorted(run.directory for run in found.runs) == runs
    assert {path.name for path in found.skipped} == names and all(found.skipped.values())
    assert found.skipped[runs[0].parent / "killed"] == "not finished"


def test_the_report_is_made_of_what_is_left(folder, monkeypatch, capsys):
    from orthontk.report.__main__ import main

    broken_copies(next(folder.glob("*/*/summary.json")).parent)
    monkeypatch.setattr("sys.argv", ["report", str(folder)])
    main()
    printed = capsys.readouterr().out
    assert "skipped" in printed and "killed: not finished" in printed
    out = folder / "report"
    assert "killed" in (out / "claims.md").read_text()
    (study,) = json.loads((out / "verdict.json").read_text())
    assert study["runs"] == 2 and study["scale"] == "quick"
    inside = out / "depth_fluctuation-quick"
    assert (inside / "depth_fluctuation.png").stat().st_size > 10_000
    assert len((inside / "results.csv").read_text().splitlines()) == 1 + 2 * 20
    assert json.loads((inside / "verdict.json").read_text()) == study


def test_a_folder_without_studies_is_refused(tmp_path, monkeypatch, capsys):
    from orthontk.report.__main__ import main

    for directory, line in ((tmp_path, "a folder with finished runs"), (tmp_path / "none", "a folder of runs")):
        monkeypatch.setattr("sys.argv", ["report", str(directory)])
        with pytest.raises(SystemExit):
            main()
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1 and f"DIR={directory}: expected {line}" in error
