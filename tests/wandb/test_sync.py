"""`python -m orthontk.sync`: every finished offline run arrives once, whatever was interrupted."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from orthontk.loggers import WandbRun, read_metrics
from orthontk.sync import continue_upload, find, main
from wandb import env


def start(backend, directory, *options):
    own = {name: value for name, value in os.environ.items() if name != env.SERVICE}  # not this process's uploader
    return subprocess.Popen(
        [sys.executable, "-m", "orthontk.sync", str(directory), *options],
        env={**own, **backend.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def sync(backend, directory, *options):
    process = start(backend, directory, *options)
    printed, _ = process.communicate(timeout=120)
    return process.returncode, printed


def wandb_id(run):
    return WandbRun(run).version


def test_what_is_found(tmp_path):
    """Finished runs wait, unfinished ones are left, uploaded ones and online ones are not looked at again."""
    for name in ("done", "sent", "going", "damaged", "online"):
        recording = tmp_path / "study" / name / "wandb" / f"offline-run-2026-{name}"
        recording = recording.with_name(f"run-2026-{name}") if name == "online" else recording
        recording.mkdir(parents=True)
        (recording / f"run-{name}.wandb").touch()
        if name != "going":
            (tmp_path / "study" / name / "summary.json").write_text("{" + '"status": "finished"}' * (name != "damaged"))
    (tmp_path / "study/sent/wandb/offline-run-2026-sent/run-sent.wandb.synced").touch()
    found = find(tmp_path)
    assert [path.stem for path in found.waiting] == ["run-done"]
    assert [path.stem for path in found.uploaded] == ["run-sent"]
    assert {path.name: reason.split(";")[0] for path, reason in found.left.items()} == {
        "damaged": "summary.json cannot be read",
        "going": "not finished",
    }


def test_runs_in_a_folder_named_wandb_are_found(tmp_path):
    """As of a study that is named so; what W&B itself keeps in a folder of that name is not searched."""
    for run in ("wandb/one", "wandb/wandb"):
        recording = tmp_path / run / "wandb" / "offline-run-2026-id"
        (recording / "files" / "wandb" / "offline-run-2026-copy").mkdir(parents=True)
        (recording / "run-id.wandb").touch()
        (recording / "files" / "wandb" / "offline-run-2026-copy" / "run-copy.wandb").touch()
        (tmp_path / run / "summary.json").write_text('{"status": "finished"}')
    found = find(tmp_path)
    assert [path.relative_to(tmp_path).parts[:-3] for path in found.waiting] == [("wandb", "one"), ("wandb", "wandb")]
    assert find(tmp_path / "wandb/one/wandb").waiting == found.waiting[:1]


@pytest.mark.parametrize("config", [None, "", "logger: [", "logger: {wandb: null}"])
def test_a_run_without_its_settings_stops_no_other(tmp_path, capsys, config):
    recording = tmp_path / "run" / "wandb" / "offline-run-2026-id" / "run-id.wandb"
    recording.parent.mkdir(parents=True)
    recording.with_suffix(".wandb.uploading").touch()
    if config is not None:
        (tmp_path / "run" / "config.yaml").write_text(config)
    assert not continue_upload(recording, None, None)
    assert capsys.readouterr().err.startswith(f"{tmp_path / 'run' / 'config.yaml'}: ")


def test_no_such_folder(run_module, tmp_path):
    code, printed = run_module("orthontk.sync", tmp_path / "nowhere")
    assert code == 1
    assert printed.err == f"error: DIR={tmp_path}/nowhere: expected a folder of runs, such as outputs\n"


def _kill_all_that_talk_to(backend):
    """W&B's uploading process is no child of the command's, in a session of its own, and goes on without it."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has just ended
            if backend.url.encode() in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)


@pytest.mark.slow
def test_each_run_is_uploaded_once(small, backend, tmp_path):
    """Two finished runs and one that is going on; then an upload that is cut off in the middle."""
    runs = [small("logger=wandb", f"seed={seed}").run_directory for seed in range(3)]
    (runs[2] / "summary.json").unlink()
    code, printed = sync(backend, tmp_path / "outputs", "--project=elsewhere")
    assert code == 0 and "uploaded 2, before 0, left 1" in printed, printed
    assert f"left {runs[2]}: not finished" in printed
    assert set(backend.runs) == {wandb_id(run) for run in runs[:2]} and not backend.unknown
    for run in runs[:2]:
        assert backend.runs[wandb_id(run)].is_finished
        assert backend.runs[wandb_id(run)].steps() == [row["step"] for row in read_metrics(run / "metrics.csv")]

    code, printed = sync(backend, tmp_path / "outputs")
    assert code == 0 and "uploaded 0, before 2, left 1" in printed
    assert all(backend.runs[wandb_id(run)].is_finished for run in runs[:2])

    shutil.copy(runs[1] / "summary.json", runs[2])
    name = wandb_id(runs[2])
    backend.held.add(name)
    process = start(backend, tmp_path / "outputs")
    assert backend.held_back.wait(60)
    _kill_all_that_talk_to(backend)
    process.communicate()
    backend.held.clear()
    assert not backend.runs[name].exit_codes
    code, printed = sync(backend, tmp_path / "outputs")
    assert code == 0 and "uploaded 1, before 2, left 0" in printed, printed
    assert backend.runs[name].is_finished
    assert backend.runs[name].steps() == [row["step"] for row in read_metrics(runs[2] / "metrics.csv")]


@pytest.mark.slow
def test_what_has_arrived_is_not_sent_again(small, backend, tmp_path):
    """An upload was cut off when half of the history was there; W&B's own command would append all of it."""
    run = small("logger=wandb", "logger.wandb.project=mine").run_directory
    (recording,) = run.glob("wandb/offline-run-*/*.wandb")
    recording.with_suffix(".wandb.uploading").touch()
    steps = [row["step"] for row in read_metrics(run / "metrics.csv")]
    backend.runs[wandb_id(run)].history = {line: {"_step": step} for line, step in enumerate(steps[:3])}
    code, printed = sync(backend, tmp_path / "outputs")
    assert code == 0 and "uploaded 1, before 0, left 0" in printed, printed
    assert backend.runs[wandb_id(run)].is_finished and backend.runs[wandb_id(run)].steps() == steps
    assert "test/accuracy" in backend.runs[wandb_id(run)].summary
    code, printed = sync(backend, tmp_path / "outputs")
    assert code == 0 and "uploaded 0, before 1, left 0" in printed, printed


@pytest.mark.parametrize(("recordings", "said"), [(1, "left 0, failed 1"), (0, "runs record one with logger=wandb")])
def test_what_failed_is_counted_and_where_nothing_was_recorded_the_setting_is_named(
    recordings, said, tmp_path, monkeypatch, capsys
):
    for number in range(recordings):
        folder = tmp_path / f"run{number}" / "wandb" / "offline-run-1-a"
        folder.mkdir(parents=True)
        (folder / "run-a.wandb").touch()
        (tmp_path / f"run{number}" / "summary.json").write_text('{"status": "finished"}')
    monkeypatch.setattr(sys, "argv", ["sync", str(tmp_path)])
    monkeypatch.setattr("orthontk.sync.upload", lambda found, *options: list(found))
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == recordings and said in capsys.readouterr().out
