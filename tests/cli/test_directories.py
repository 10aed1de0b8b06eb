"""Directories that are given by hand: any name will do, and none will not."""

import pytest

SHORT = "trainer.max_steps=0"


@pytest.mark.parametrize("axes", [(), ("ensemble.seeds=2",)])
def test_brackets_in_a_folders_name_are_printed(small, tmp_path, axes):
    result = small(SHORT, *axes, f"hydra.run.dir='{tmp_path}/one[/b]'")
    assert result.code == 0, result.err
    assert result.run_directory == tmp_path / "one[/b]" and (tmp_path / "one[/b]" / "summary.json").exists()


@pytest.mark.parametrize(("key", "flags"), [("hydra.run.dir", ()), ("hydra.sweep.dir", ("-m", "seed=0,1"))])
def test_a_folder_without_a_name_is_not_the_current_one(small, tmp_path, monkeypatch, key, flags):
    monkeypatch.chdir(tmp_path)
    result = small(SHORT, *flags, f"{key}=")
    assert result.code == 1 and result.err == f"error: {key}=: expected a folder\n"
    assert not list(tmp_path.iterdir())
