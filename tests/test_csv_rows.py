"""What a table holds, and what is said of a damaged one."""

import pytest

from orthontk.csv_rows import DamagedTable, read_rows

DAMAGES = {
    "too many fields": b"step,train/loss\n0,1\n1,0.5,7\n",
    "no number": b"step,train/loss\n0,1\n1,0.5x\n",
    "no text": b"step,train/loss\n0,1\n1,\xff\n",
    "no table": b"step,train/loss\n0,1\n" + b"\0" * 200_000,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_named(tmp_path, damage):
    path = tmp_path / "metrics.csv"
    path.write_bytes(DAMAGES[damage])
    with pytest.raises(DamagedTable, match=f"^{path}: "):
        list(read_rows(path))


def test_what_was_not_measured_is_not_there(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss,status\n0,,\n1,0.5\n2,1,done\n")
    rows = [{"step": 0}, {"step": 1, "train/loss": 0.5}, {"step": 2, "train/loss": 1.0, "status": "done"}]
    assert list(read_rows(tmp_path / "metrics.csv")) == rows
