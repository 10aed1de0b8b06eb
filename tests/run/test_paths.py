"""Paths are the same ones from wherever a command is given."""


def test_a_run_that_was_begun_from_a_relative_path_is_known_elsewhere(small, tmp_path, monkeypatch):
    old = small().run_directory
    monkeypatch.chdir(old.parent)
    longer = ("trainer.max_steps=8", f"hydra.run.dir={tmp_path}/longer")
    assert small(*longer, f"resume={old.name}").code == 0
    monkeypatch.chdir(tmp_path)
    again = small(*longer, f"resume={old}")
    assert again.code == 0 and again.out.startswith("finished already"), again.err


def test_paths_are_taken_from_where_the_command_is_though_hydra_runs_it_elsewhere(small, tmp_path, monkeypatch):
    old = small().run_directory
    monkeypatch.chdir(old.parent)
    there = (f"hydra.run.dir={tmp_path}/there", "hydra.job.chdir=true", "trainer.max_steps=8")
    for again in range(2):
        result = small(*there, f"resume={old.name}")
        assert result.code == 0 and result.out.startswith("finished already" if again else "continuing"), result.err
