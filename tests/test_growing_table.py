"""A table written while it grows is the table written once."""

from hypothesis import given
from hypothesis import strategies as st

from orthontk.csv_rows import write_rows
from orthontk.growing_table import GrowingTable

values = st.dictionaries(st.sampled_from(["loss", "accuracy", "tau"]), st.floats() | st.integers(), min_size=1)
additions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), values, st.booleans()), min_size=1)


@given(additions)
def test_whatever_is_added_and_whenever_it_is_written(tmp_path_factory, added):
    """A cell that changes, a column that comes late, rows out of order: all as if nothing had been written before."""
    folder = tmp_path_factory.mktemp("table")
    table, rows = GrowingTable(folder / "grown.csv", ["step", "seed"]), {}
    for seed, step, cells, writes in added:
        row = {"step": step, "seed": seed, **cells}
        table.add((seed, step), row)
        rows.setdefault((seed, step), {}).update(row)
        if writes:
            table.write()
    table.write()
    names = {name for row in rows.values() for name in row} - {"step", "seed"}
    write_rows(folder / "whole.csv", [rows[key] for key in sorted(rows)], ["step", "seed", *sorted(names)])
    assert (folder / "grown.csv").read_bytes() == (folder / "whole.csv").read_bytes()
