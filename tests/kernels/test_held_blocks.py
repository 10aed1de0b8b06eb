"""How often blocks of examples pass through the network when few of them can be held."""

import pytest

from orthontk.kernels.grid import Grid
from orthontk.kernels.held_blocks import examples_in_passes


@pytest.mark.parametrize(
    ("same", "held", "passes"),
    [
        (False, 2, 6 + 6 * 8 - 5),  # every column once for each row, but for the last one of the row before
        (False, 3, 6 + 3 * 8 - 2),  # for each two rows
        (False, 14, 6 + 8),
        (True, 6, 6),
    ],
)
def test_held_blocks_pass_once_for_as_many_rows_as_fit(same, held, passes):
    rows, columns = ([slice(i, i + 1) for i in range(n)] for n in (6, 8))
    grid = Grid(rows, rows if same else columns, same, held)
    assert len(set(grid.tiles())) == len(list(grid.tiles())) == (21 if same else 48)
    assert examples_in_passes(grid) == passes
