"""A run that is told to leave saves where it is, and continues from there to the same files."""

import shlex
import signal
from contextlib import contextmanager

import pytest

from orthontk.callbacks import checkpoints
from orthontk.ensemble.module import EnsembleModule
from orthontk.run import claim
from orthontk.slurm import commands, interruption
from orthontk.slurm.interruption import Interrupted
from orthontk.training import TrainingModule
from run_files import assert_same_run
from small_run import LONGER


@pytest.mark.parametrize("keep", ["last", "all"])
@pytest.mark.parametrize("step", [1, 12, 19, 24])  # the first; a validation and a regular checkpoint; neither; the last
def test_interrupted_equals_uninterrupted(small, monkeypatch, tmp_path, step, keep):
    settings = (*LONGER, f"checkpoint.keep={keep}", "optimizer=momentum", "schedule=cosine")
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    seen = iter(range(1, 100))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "is_requested", lambda strategy: next(seen) == step)
        with pytest.raises(Interrupted):
            small(*settings, f"hydra.run.dir={tmp_path}/left")
    assert list((tmp_path / "left").glob(f"checkpoints/step-{step:08d}.ckpt"))
    resumed = small(*settings, f"hydra.run.dir={tmp_path}/left")
    assert resumed.code == 0 and "continuing from" in resumed.out, resumed.err
    assert_same_run(whole, tmp_path / "left")


@contextmanager
def pressing_ctrl_c(monkeypatch, module, hook):
    def pressed(*_):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(module, hook, pressed)
        yield
    signal.signal(signal.SIGINT, handler)  # which Lightning ignores from then on


@pytest.mark.parametrize("hook", ["training_step", "validation_step", "test_step"])
@pytest.mark.parametrize(("module", "settings"), [(TrainingModule, ()), (EnsembleModule, ("ensemble.seeds=2",))])
def test_ctrl_c_says_how_to_go_on(small, monkeypatch, tmp_path, module, settings, hook):
    """While it trains, in the validation that closes a training, and in the test after it."""

    settings = (*settings, "trainer.max_steps=5", "trainer.val_check_interval=100", f"hydra.run.dir={tmp_path}/run")
    with pressing_ctrl_c(monkeypatch, module, hook):
        stopped = small(*settings)
    saved = 5 if module is TrainingModule else 4  # of a chunk not the last, but a regular one
    how = f"continues this run from step {saved}, the"
    if hook == "training_step":
        how = "starts this run over, as no step is saved yet"
    assert stopped.code == 130 and stopped.err.startswith(f"interrupted; the same command {how}"), stopped.err
    assert small(*settings).code == 0


@pytest.mark.parametrize(
    ("files", "how"),
    [
        (["0/checkpoints/step-00000000.ckpt"], "starts this run over, as no step is saved yet"),
        (["0/checkpoints/step-00000040.ckpt"], "continues this run from step 40, the last that is saved"),
        (["0/replicas.json", "1/metrics.csv"], "continues this run behind 1 chunk of its ensemble"),
        (
            ["0/replicas.json", "0/checkpoints/step-00000090.ckpt", "1/checkpoints/step-00000040.ckpt"],
            "continues this run behind 1 chunk of its ensemble from step 40, the last that is saved",
        ),
    ],
)
def test_ctrl_c_of_an_ensemble_says_from_which_step(tmp_path, files, how):
    for file in (tmp_path / "chunks" / file for file in files):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    with pytest.raises(KeyboardInterrupt) as stopped, claim._saying_how_to_go_on(tmp_path, "the same command"):
        raise KeyboardInterrupt
    assert str(stopped.value) == f"the same command {how}"


def test_ctrl_c_of_a_run_begun_anew_says_where_it_goes_on(small, monkeypatch):
    directory = small().run_directory
    with pressing_ctrl_c(monkeypatch, TrainingModule, "test_step"):
        stopped = small("resume=never")
    words = shlex.split(stopped.err.splitlines()[-1])
    assert stopped.code == 130 and words[2] == f"hydra.run.dir={directory}-2" and words[6:8] == ["resume=never", "the"]
    again = small(words[2])
    assert again.code == 0 and again.out.startswith(f"continuing from {directory}-2/checkpoints/"), again.err


def test_nothing_is_listened_to_outside_slurm(monkeypatch):
    monkeypatch.delenv("SLURM_PROCID", raising=False)
    assert interruption.surviving(lambda: 3) == 3
    assert not interruption.is_requested(strategy=None)


def test_a_task_of_an_array_is_named_by_its_array(monkeypatch):
    """Requeuing the last task by its own number, which is the array's too, would requeue all."""
    for name, value in {"PROCID": "1", "JOB_ID": "7", "ARRAY_JOB_ID": "7", "ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert commands.job_to_requeue() == "7_3" and commands.own_task() == 1
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID")
    assert commands.job_to_requeue() == "7"
