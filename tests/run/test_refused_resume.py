"""What a run is not continued from, by the key that says so, and what is left as it was then."""

import pytest
import torch

from small_run import LONGER


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


def test_there_is_nothing_to_resume_from_a_run_without_updates(small):
    beginning = small("trainer.max_steps=0").run_directory
    for source in (beginning, beginning / "checkpoints" / "step-00000000.ckpt"):
        refused = small(f"resume={source}")
        assert refused.code == 1 and f"resume={source}: expected a run that has made an update" in refused.err


def test_a_checkpoint_without_settings_is_refused(small):
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


def test_without_a_whole_checkpoint_a_run_is_refused(small, tmp_path):
    settings = (*LONGER, "checkpoint.keep=all", f"hydra.run.dir={tmp_path}/run")
    directory = small(*settings).run_directory
    (directory / "summary.json").unlink()
    for checkpoint in (directory / "checkpoints").iterdir():
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
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
