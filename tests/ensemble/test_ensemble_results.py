"""What is left of an ensemble: the files of its chunks, and the closing table."""

import pytest

from orthontk.checks import InvalidValue
from orthontk.ensemble.report import show_ensemble
from orthontk.ensemble.results import require_rows, write_ensemble_summary
from orthontk.files import write_json
from orthontk.run.directory import CHUNK_RESULT, METRICS

REPLICA = {"seed": 0, "init": "gaussian", "learning_rate": 0.1, "status": "finished", "steps": 7}


@pytest.mark.parametrize("rows", [None, ""])
def test_a_chunk_without_its_rows_is_refused(tmp_path, rows):
    chunk = tmp_path / "chunks" / "0000"
    chunk.mkdir(parents=True)
    write_json(chunk / CHUNK_RESULT, [REPLICA])
    if rows is not None:
        (chunk / METRICS).write_text(rows)
    with pytest.raises(InvalidValue, match=f"{METRICS} with what was measured up to step 7, which is gone"):
        require_rows(tmp_path, 0)


@pytest.mark.parametrize("name", ["train/loss", "test/accuracy"])
def test_the_closing_table_explains_what_it_shows(tmp_path, capsys, name):
    write_ensemble_summary(tmp_path, [REPLICA | {name: 0.5}], {}, 1.0)
    show_ensemble(tmp_path)
    printed = capsys.readouterr().out
    assert "standard error" in printed and ("minibatch" in printed) == (name == "train/loss")


def test_the_closing_table_has_the_kernels_change_where_it_was_measured(tmp_path, capsys):
    for measured in ({"ntk/change": 0.25}, {}):
        write_ensemble_summary(tmp_path, [REPLICA | measured], {}, 1.0)
        show_ensemble(tmp_path)
        assert ("NTK" in capsys.readouterr().out) == bool(measured)
