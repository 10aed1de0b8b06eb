"""A damaged record of a multirun hides no other."""

import pytest

from orthontk.sweep.overview import sweeps_under
from orthontk.sweep.record import FOLDER, Job, write_record


@pytest.mark.parametrize("content", [b"", b'{"command": ', b"[]", b'{"jobs": []}', b'{"jobs": [{"seed": 0}]}', b"\xff"])
def test_it_is_named_and_passed_over(tmp_path, capsys, content):
    write_record(tmp_path, ["train.py"], [Job(["seed=0"], "run0")])
    damaged = tmp_path / FOLDER / "damaged.json"
    damaged.write_bytes(content)
    (found,) = sweeps_under(tmp_path)
    assert found.jobs == [tmp_path / "run0"]
    assert capsys.readouterr().err == f"warning: {damaged} cannot be read; its jobs count only where they were begun\n"
