"""Under which id a run directory's run is on W&B."""

import pytest

from orthontk.loggers import WandbRun


@pytest.fixture(autouse=True)
def without_an_agent(monkeypatch):
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)


def directory(path):
    path.mkdir(parents=True)
    return path


def test_directories_of_one_name_are_two_runs(tmp_path):
    """The same settings under two names, which are outside the hash, or directories that were given by hand."""
    for name in ("fcn-gaussian-tanh-L2-n8-mnist-lr2-seed0-00b0bf04", "run"):
        ids = {WandbRun(directory(tmp_path / group / name)).version for group in "ab"}
        assert len(ids) == 2 and max(map(len, ids)) <= 24
        assert all(id.startswith(name[-14:] + "-") for id in ids)


def test_it_stays_when_the_run_goes_on_or_its_folder_is_moved(tmp_path):
    before = directory(tmp_path / "before" / "gaussian-seed0-00b0bf04")
    began = WandbRun(before).version
    assert WandbRun(before).version == WandbRun(before, mode="online").version == began
    directory(before / "wandb" / f"offline-run-20260101_101010-{began}")
    moved = before.rename(directory(tmp_path / "after") / before.name)
    assert WandbRun(moved).version == WandbRun(moved, mode="online").version == began


@pytest.mark.parametrize("kind", ["offline-run", "run"])
def test_a_run_that_was_begun_under_the_end_of_its_name_keeps_it(tmp_path, kind):
    run = directory(tmp_path / "fcn-gaussian-tanh-L2-n8-mnist-lr2-seed0-00b0bf04")
    directory(run / "wandb" / f"{kind}-20260101_101010-{run.name[-24:]}")
    assert WandbRun(run).version == run.name[-24:]


def test_an_agents_id_wins_online_only(tmp_path, monkeypatch):
    own = WandbRun(tmp_path).version
    assert WandbRun(tmp_path, mode="online").version == own
    monkeypatch.setenv("WANDB_RUN_ID", "agents1")
    assert WandbRun(tmp_path, mode="online").version == "agents1"
    directory(tmp_path / "wandb" / "run-20260101_101010-agents1")
    assert WandbRun(tmp_path).version == own


def test_any_folders_name_makes_an_id(tmp_path):
    """Of these characters W&B takes none; what two names have in common after them, their paths tell apart."""
    from wandb import Settings

    ids = [WandbRun(directory(tmp_path / f"lr=0.1{mark}b")).version for mark in ":;,#?'"]
    assert len(set(ids)) == 6
    for id in ids:
        Settings(run_id=id)


def test_an_id_that_was_made_of_other_characters_stays(tmp_path):
    run = directory(tmp_path / "lr=0.1 a")
    directory(run / "wandb" / "offline-run-20260101_101010-lr=0.1 a-00b0bf04")
    assert WandbRun(run).version == "lr=0.1 a-00b0bf04"
