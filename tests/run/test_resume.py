"""An interrupted run ends as an uninterrupted one does, bit for bit; nothing is overwritten."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from orthontk.training import TrainingModule
from run_files import assert_same_run as assert_same_whole_run
from run_files import wandb_history

LONGER = ("trainer.max_steps=24", "callbacks.ntk.steps=3", "checkpoint.every_n_steps=4", "trainer.val_check_interval=6")


def rows(directory):
    """The metrics that a resumed run must repeat: all but wall-clock times."""
    return [
        {name: value for name, value in row.items() if not name.startswith("time/")}
        for row in read_metrics(directory / "metrics.csv")
    ]


def final_state(directory):
    (checkpoint,) = (directory / "checkpoints").iterdir()
    return torch.load(checkpoint, weights_only=True)


def assert_same_run(one, other):
    assert rows(one) == rows(other)
    assert (one / "ntk.safetensors").read_bytes() == (other / "ntk.safetensors").read_bytes()
    first, second = final_state(one), final_state(other)
    assert first["global_step"] == second["global_step"]
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
    assert str(first["optimizer_states"]) == str(second["optimizer_states"])
    assert str(first["lr_schedulers"]) == str(second["lr_schedulers"])


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def interrupt(monkeypatch):
    """Let training raise just before the update of a step."""

    def at(step):
        original = TrainingModule.training_step

        def training_step(self, batch, batch_index):
            if self.global_step == step:
                monkeypatch.setattr(TrainingModule, "training_step", original)
                raise Interrupted
            return original(self, batch, batch_index)

        monkeypatch.setattr(TrainingModule, "training_step", training_step)

    return at


@pytest.mark.parametrize("optimizer", ["momentum", "adam"])
@pytest.mark.parametrize("step", [2, 6, 12, 23])  # before any checkpoint, after a validation, at both, near the end
def test_resumed_equals_uninterrupted(small, interrupt, tmp_path, step, optimizer):
    settings = (*LONGER, f"optimizer={optimizer}", "schedule=cosine", "init=orthogonal")
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    interrupt(step)
    stopped = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert stopped.code == 1 and "Interrupted" in stopped.err
    assert not (tmp_path / "stopped" / "summary.json").exists()
    resumed = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert resumed.code == 0, resumed.err
    assert ("continuing from" in resumed.out) == (step >= 4)
    assert_same_run(whole, resumed.run_directory)


def test_finished_run_is_reported_and_left_alone(small):
    first = small()
    before = {path: path.stat().st_mtime_ns for path in first.run_directory.rglob("*") if path.is_file()}
    again = small()
    assert again.code == 0 and again.out.startswith("finished already")
    assert before == {path: path.stat().st_mtime_ns for path in first.run_directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("before", "now", "named"),
    [
        ("optimizer.lr=1", "optimizer.lr=3", "optimizer.lr=3: expected 1, "),
        ("trainer.max_steps=6", "trainer.max_steps=8", "trainer.max_steps=8: expected 6, "),
        ("optimizer.lr_fraction=0.5", "optimizer.lr_fraction=0.2", "optimizer.lr_fraction=0.2: expected 0.5, "),
        ("model.critical=0.1", "model.critical=null", "model.critical=null: expected 0.1, "),
        ("ensemble.seeds=2", "ensemble.seeds=3", "ensemble.seeds=3: expected 2, "),
        ("callbacks=ntk", "callbacks=[ntk,tau]", "callbacks.tau="),
        ("callbacks=[ntk,tau]", "callbacks=ntk", "callbacks.tau=null: expected its settings, as in "),
        ("resume=auto", "resume={run}", "resume={run}: expected auto, as in "),
    ],
)
def test_a_finished_run_is_reported_for_its_own_settings_only(small, tmp_path, before, now, named):
    here = f"hydra.run.dir={tmp_path}/run"
    assert small(before, here).code == 0
    again = small(before, here, "figures=true", "trainer.enable_progress_bar=true")
    assert again.out.startswith("finished already"), again.err
    now, named = (text.format(run=tmp_path / "run") for text in (now, named))
    refused = small(now, here)
    assert refused.code == 1 and refused.err.startswith(f"error: {named}") and refused.err.count("\n") == 1
    assert f"the finished run {tmp_path}/run " in refused.err


def test_a_refused_launch_leaves_the_settings_and_the_failure_of_the_run(small, interrupt, tmp_path):
    here = f"hydra.run.dir={tmp_path}/run"
    interrupt(6)
    small(*LONGER, here)
    files = tmp_path / "run" / "config.yaml", tmp_path / "run" / "failure.txt"
    before = [file.read_bytes() for file in files]
    for changed in ("optimizer.lr=0.7", "model.width=9", "mode=test"):
        refused = small(*LONGER, here, changed)
        assert refused.code == 1 and ("resume=" in refused.err or "mode=" in refused.err)
        assert [file.read_bytes() for file in files] == before
    assert small(*LONGER, here).code == 0


def test_never_makes_numbered_siblings(small):
    names = [small("resume=never").run_directory.name for _ in range(3)]
    assert names[1:] == [f"{names[0]}-2", f"{names[0]}-3"]


def test_a_requeued_job_goes_on_where_never_began(small, interrupt, monkeypatch, tmp_path):
    """In the directory that it held, not in that of another job; once that is finished, it is reported."""
    settings = (*LONGER, "resume=never", "name=requeued")
    whole = small(*LONGER, "resume=never").run_directory
    for number, job in enumerate(("76", "77", "78")):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        interrupt(10 if number == 1 else 6)
        small(*settings)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    again = small(*settings)
    assert again.code == 0 and f"continuing from {again.run_directory}/checkpoints/step-00000008.ckpt" in again.out
    assert again.run_directory == tmp_path / "outputs" / "requeued" / f"{whole.name}-2"
    assert_same_run(whole, again.run_directory)
    finished = small(*settings)  # as a job of several commands does that is requeued after the first of them
    assert finished.code == 0 and finished.run_directory == again.run_directory
    assert finished.out.startswith("finished already")
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert small(*settings).run_directory.name == f"{whole.name}-4"


def test_resume_from_a_path_takes_the_history_along(small, tmp_path):
    """Train longer from half of a run: the steps before it are the old run's, and the kernels' beginning is too."""
    old = small(*LONGER, "checkpoint.keep=all").run_directory
    (old / "ntk-recomputed.safetensors").write_bytes(b"of `python -m orthontk.ntk`, and so of the old run alone")
    half = f"resume={old}/checkpoints/step-00000012.ckpt"
    new = small(*LONGER, "trainer.max_steps=30", half).run_directory
    assert new != old
    assert [row for row in rows(new) if row["step"] < 12] == [row for row in rows(old) if row["step"] < 12]
    shared = {row["step"]: row for row in rows(new) if row["step"] < 24}
    assert shared == {row["step"]: row for row in rows(old) if row["step"] < 24}
    assert KernelSeries.read(new / "ntk.safetensors").steps == list(range(0, 31, 3))
    assert not (new / "ntk-recomputed.safetensors").exists()
    less_memory = small(*LONGER, "data.eval_batch_size=50", "trainer.max_steps=26", half)
    assert less_memory.code == 0, less_memory.err
    before = set(new.parent.iterdir())
    for other in ("optimizer.lr=0.5", "model.width=9", "trainer.max_steps=7", "trainer.accelerator=nope"):
        refused = small(*LONGER, other, half)
        assert refused.code == 1 and other.split(".")[0] in refused.err
        assert set(new.parent.iterdir()) == before


def test_there_is_nothing_to_resume_from_a_run_without_updates(small):
    beginning = small("trainer.max_steps=0").run_directory
    for source in (beginning, beginning / "checkpoints" / "step-00000000.ckpt"):
        refused = small(f"resume={source}")
        assert refused.code == 1 and f"resume={source}: expected a run that has made an update" in refused.err


def test_a_checkpoint_without_settings_is_refused(small, tmp_path):
    run = small().run_directory
    (checkpoint,) = (run / "checkpoints").iterdir()
    content = torch.load(checkpoint, weights_only=True)
    del content["config"]
    torch.save(content, checkpoint)
    refused = small("trainer.max_steps=20", f"resume={run}")
    assert refused.code == 1 and "expected a checkpoint that holds its run's settings" in refused.err


@pytest.mark.parametrize("text", ["alpha: 3\n", "- 1\n", "a: [\n"])
def test_somebody_elses_settings_are_not_overwritten(small, tmp_path, text):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text(text)
    refused = small(f"hydra.run.dir={tmp_path}/mine", "optimizer.lr_fraction=0.5")
    assert refused.code == 1 and refused.err.startswith(f"error: hydra.run.dir={tmp_path}/mine: expected a folder ")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["config.yaml"]
    assert (tmp_path / "mine" / "config.yaml").read_text() == text


def test_another_version_of_the_code_is_warned_of(small, interrupt, tmp_path):
    here = f"hydra.run.dir={tmp_path}/run"
    interrupt(6)
    small(*LONGER, here)
    provenance = tmp_path / "run" / "provenance.json"
    provenance.write_text(json.dumps({**json.loads(provenance.read_text()), "git_commit": "0" * 40}))
    assert "warning: continuing a run begun at commit 0000" in small(*LONGER, here).out


def test_checkpoints_hold_plain_types(small):
    state = final_state(small().run_directory)
    assert state["config"]["model"]["width"] == 8
    assert type(state["config"]) is dict


def test_all_checkpoints_are_kept_if_asked_for(small):
    run = small("checkpoint.keep=all").run_directory
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        f"step-{step:08d}.ckpt" for step in (2, 4, 6)
    ]


TRAINS_LONG_ENOUGH = (
    "model=fcn",
    "model.width=32",
    "data.train_size=500",
    "trainer=cpu",
    "trainer.max_steps=1500",
    "trainer.val_check_interval=70",
    "checkpoint.every_n_steps=35",
    "callbacks.ntk.steps=250",
    "callbacks.ntk.probe_size=10",
    "logger=wandb",
)


@pytest.fixture
def start(tmp_path, request):
    """Starts a real process that trains in the folder of the given name."""

    # W&B's service of this process, which other tests start, would not learn that one of these was killed.
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}
    environment["OMP_NUM_THREADS"] = "1"

    def process(name):
        return subprocess.Popen(
            [sys.executable, "train.py", *TRAINS_LONG_ENOUGH, f"hydra.run.dir={tmp_path}/{name}"],
            cwd=request.config.rootpath,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # As a terminal starts it: what runs in a script's background ignores Ctrl-C, and lets its children do so.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    return process


def end_after(process, directory, step, signal_number):
    """Sends the signal once a checkpoint of `step` or later is there; returns the exit code and what was printed."""
    while process.poll() is None and not _has_reached(directory, step):
        time.sleep(0.02)
    process.send_signal(signal_number)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.mark.slow
def test_ended_processes_continue(start, tmp_path):
    """Ctrl-C a process that trains, kill the next one, and let the same command finish."""
    whole = start("whole")
    assert whole.wait(120) == 0
    code, output = end_after(start("ended"), tmp_path / "ended", 300, signal.SIGINT)
    assert code == 130 and output.decode().splitlines()[-1].startswith("interrupted; the same command continues")
    assert b"Traceback" not in output and not (tmp_path / "ended" / "summary.json").exists()
    code, _ = end_after(start("ended"), tmp_path / "ended", 900, signal.SIGKILL)
    assert code == -signal.SIGKILL
    last = start("ended")
    output, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and b"continuing from" in output, output.decode()
    assert_same_run(tmp_path / "whole", tmp_path / "ended")
    assert wandb_history(tmp_path / "whole") == wandb_history(tmp_path / "ended")


def _has_reached(directory, step):
    return any(int(path.stem.split("-")[1]) >= step for path in directory.glob("checkpoints/step-*.ckpt"))


def test_wandb_has_the_steps_that_were_made_without_it(small, interrupt, tmp_path):
    """Begun with another logger, or continued from another run: what the offline run holds is that of one piece."""
    settings = (*LONGER, "checkpoint.keep=all")
    whole = small(*settings, "logger=wandb", f"hydra.run.dir={tmp_path}/whole").run_directory
    interrupt(14)
    small(*settings, "logger=csv", f"hydra.run.dir={tmp_path}/begun")
    begun = small(*settings, "logger=wandb", f"hydra.run.dir={tmp_path}/begun").run_directory
    half = f"resume={whole}/checkpoints/step-00000012.ckpt"
    continued = small(*settings, "logger=wandb", half, f"hydra.run.dir={tmp_path}/continued").run_directory
    assert wandb_history(whole) == wandb_history(begun) == wandb_history(continued)


def damage(checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])


@pytest.mark.parametrize("overrides", [(), ("ensemble.seeds=2", "ensemble.chunk=2")], ids=["run", "ensemble"])
def test_a_damaged_last_checkpoint_leaves_the_one_before_it(small, tmp_path, overrides):
    """The run then ends as if it had been interrupted there."""
    settings = (*LONGER, "checkpoint.keep=all", *overrides)
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    directory = small(*settings, f"hydra.run.dir={tmp_path}/damaged").run_directory
    (directory / "summary.json").unlink()  # as if killed before its end
    for result in directory.glob("chunks/*/replicas.json"):
        result.unlink()
    (folder,) = directory.glob("**/checkpoints")
    last, before = (folder / f"step-{step:08d}.ckpt" for step in (24, 20))
    damage(last)
    again = small(*settings, f"hydra.run.dir={directory}")
    assert again.code == 0, again.err
    assert [line for line in again.out.splitlines() if str(last) in line] == [
        f"warning: {last} cannot be read; continuing from the one before it that can, {before}"
    ]
    assert_same_whole_run(whole, directory)


def test_without_a_whole_checkpoint_a_run_is_refused(small, tmp_path):
    settings = (*LONGER, "checkpoint.keep=all", f"hydra.run.dir={tmp_path}/run")
    directory = small(*settings).run_directory
    (directory / "summary.json").unlink()
    for checkpoint in (directory / "checkpoints").iterdir():
        damage(checkpoint)
    refused = small(*settings)
    last = directory / "checkpoints" / "step-00000024.ckpt"
    assert refused.code == 1
    accepted = "a readable checkpoint file, which none of the run's is (resume=never starts anew beside it)"
    assert refused.err == f"error: resume={last}: expected {accepted}\n"


@pytest.mark.parametrize(
    ("other", "was"),
    [
        ("trainer.precision=64-true", "32-true"),
        ("trainer.tf32=true", "false"),
        ("+trainer.gradient_clip_val=1e-06", "null"),
    ],
)
def test_another_precision_or_clipping_than_the_checkpoints_is_refused(small, interrupt, tmp_path, other, was):
    """The settings would say of the whole training what holds of its end."""
    settings = (*LONGER, f"hydra.run.dir={tmp_path}/run")
    interrupt(10)
    small(*settings)
    key, checkpoint = other.lstrip("+").split("=")[0], tmp_path / "run" / "checkpoints" / "step-00000008.ckpt"
    for where in ((), (f"resume={tmp_path}/run", f"hydra.run.dir={tmp_path}/other")):
        refused = small(*settings, other, *where)
        assert refused.code == 1
        same = f"a checkpoint of a run with the same {key}, which was {was} and is {other.partition('=')[2]} now"
        assert refused.err.lower() == f"error: resume={checkpoint}: expected {same}\n".lower()
    assert small(*settings).code == 0


@pytest.mark.parametrize("begun, other", [((), ("ensemble.seeds=2",)), (("ensemble.seeds=2",), ())])
def test_a_run_and_an_ensemble_do_not_share_a_directory(small, tmp_path, begun, other):
    """Each would overwrite what the unfinished one has measured, and then seem to be it."""
    settings = (*LONGER, f"hydra.run.dir={tmp_path}/run")
    directory = small(*settings, *begun).run_directory
    (directory / "summary.json").unlink()  # as if killed before its end
    before = (directory / "config.yaml").read_bytes()
    refused = small(*settings, *other)
    kinds = {(): "a single run", ("ensemble.seeds=2",): "an ensemble"}
    accepted = f"another directory for {kinds[other]} than that of {kinds[begun]} which is not finished"
    assert refused.code == 1
    assert refused.err == f"error: hydra.run.dir={directory}: expected {accepted} (resume=never starts beside it)\n"
    assert (directory / "config.yaml").read_bytes() == before


@pytest.mark.parametrize(
    "shorter", ["trainer.max_steps=5", "trainer.max_epochs=1 trainer.max_steps=9"], ids=["steps", "epochs"]
)
def test_fewer_steps_than_a_checkpoint_has_made_are_refused(small, interrupt, tmp_path, shorter):
    """Nothing can undo updates: the run would be of more steps than its settings say."""
    settings = (*LONGER, f"hydra.run.dir={tmp_path}/run")
    interrupt(10)
    small(*settings)
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    checkpoint = tmp_path / "run" / "checkpoints" / "step-00000008.ckpt"
    key = shorter.split()[0].split("=")[0]
    for where in ((), (f"resume={tmp_path}/run", f"hydra.run.dir={tmp_path}/other")):
        refused = small(*settings, *shorter.split(), *where)
        assert refused.code == 1
        value, least = shorter.split()[0].split("=")[1], {"trainer.max_steps": 8, "trainer.max_epochs": 2}[key]
        expected = f"at least {least}, as {checkpoint} has made 8 updates already"
        assert refused.err == f"error: {key}={value}: expected {expected}\n"
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
    assert small(*settings).code == 0
