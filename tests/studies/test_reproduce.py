"""All studies in one command; here a small one stands for all."""

import json
import sys

import pytest

from orthontk.files import write_json
from orthontk.reproduce import __main__ as reproduce
from orthontk.reproduce.progress import WholeProgress
from orthontk.sweep.record import Job, write_record


def finish(study, *numbers):
    for number in numbers:
        (study / number).mkdir(parents=True)
        write_json(study / number / "summary.json", {})


def test_the_share_of_the_whole(tmp_path):
    progress = WholeProgress(tmp_path, {"one": 30, "two": 10}, {"one": 3, "two": 2})
    assert progress.share() == 0
    write_record(tmp_path / "one", ["train.py"], [Job([], str(number)) for number in range(3)])
    finish(tmp_path / "one", "0", "2", "left-by-other-settings", "and-another")
    assert progress.share() == pytest.approx(100 * 20 / 40)
    ends = iter([True, False])
    progress.follow("one", lambda: next(ends))
    assert progress.bar.n == pytest.approx(50) and "one, job 2 of 3" in str(progress.bar)
    progress.close()


def test_every_study_is_there(request):
    presets = {path.stem for path in (request.config.rootpath / "conf/experiment").glob("*.yaml")}
    assert set(reproduce.SECONDS) == presets - {"deep_fcn"}
    assert sum(reproduce.SECONDS.values()) < 25 * 60
    assert all(reproduce.count_jobs(reproduce.SECONDS).values())


@pytest.mark.parametrize("folder", ["/nowhere", "."])
def test_a_folder_without_images_starts_nothing(monkeypatch, capsys, folder):
    monkeypatch.setattr(sys, "argv", ["reproduce", "--data", folder])
    monkeypatch.setattr(reproduce, "run_all", None)
    with pytest.raises(SystemExit, match="1"):
        reproduce.main()
    error = capsys.readouterr().err
    assert error.startswith(f"error: DATA={folder}: expected a") and "folder with train.parquet and test" in error


def test_studies_of_which_nothing_is_finished_are_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", ["reproduce", "--out", str(tmp_path), "--studies", "kernel_drift"])
    monkeypatch.setattr(reproduce, "run_all", lambda data, out, jobs: [*jobs])
    with pytest.raises(SystemExit, match="1"):
        reproduce.main()
    out = tmp_path / "reproduce-digits"
    none, failed = capsys.readouterr().err.splitlines()
    assert none == f"no report of {out}: expected a folder with finished runs"
    assert failed == f"kernel_drift: some of its jobs failed: python -m orthontk.sweep status {out / 'kernel_drift'}"


@pytest.mark.slow
def test_runs_judges_and_runs_nothing_twice(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(reproduce, "SECONDS", {"depth_fluctuation": 40})
    monkeypatch.setattr(sys, "argv", ["reproduce", "--out", str(tmp_path)])

    def command():
        with pytest.raises(SystemExit) as end:
            reproduce.main()
        assert not end.value.code
        return capfd.readouterr()

    printed = command()
    out = tmp_path / "reproduce-digits"
    assert "not the paper's images" in printed.out and "22 jobs of 1 study" in printed.out
    assert "100%" in printed.err and "depth_fluctuation (quick)" in printed.out
    (study,) = json.loads((out / "report" / "verdict.json").read_text())
    assert study["runs"] == 22
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/*/summary.json")}
    next(iter(times)).unlink()  # as if interrupted before the last job
    command()
    after = {path: path.stat().st_mtime_ns for path in out.glob("*/*/summary.json")}
    assert after.keys() == times.keys() and sum(after[path] != times[path] for path in times) == 1
