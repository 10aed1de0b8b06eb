"""Kernels that come from few draws, made up so that their slopes are known."""

import pandas as pd
import pytest

from orthontk.studies import KernelConvergence


@pytest.mark.parametrize(("draws", "names"), [(1, ["gaussian"]), (2, ["gaussian", "gaussian, mean of 2 draws"])])
def test_a_single_draw_is_drawn_once(draws, names):
    settings = {"family": "FCN", "activation": "tanh", "depth": 3, "init": "gaussian", "kernel": "ntk"}
    rows = [
        settings | {"width": width, "averaged": averaged, "error": 1 / width}
        for width in (16, 64)
        for averaged in range(1, draws + 1)
    ]
    (panel,) = KernelConvergence(-0.5, 0.1, 0.1, 4096).figure(pd.DataFrame(rows)).panels
    assert sorted(series.name for series in panel.series) == [*names, "slope −½"]


def test_slopes_stand_beside_what_is_expected_of_the_authors_network_alone():
    settings = {"family": "FCN", "activation": "relu", "depth": 2, "data": "gaussian", "kernel": "ntk", "averaged": 1}
    rows = [
        settings | {"init": init, "width": width, "error": width**-0.5 * (1 + 0.01 * draw)}
        for init in ("gaussian", "orthogonal")
        for width in (8, 16, 32)
        for draw in range(5)
    ]
    study, table = KernelConvergence(-0.5, 0.1, 0.1, 4096), pd.DataFrame(rows)
    found = study.comparison(table)
    assert [row["expected"] for row in found] == [-0.50, -0.545]
    assert all(row["estimate"] == pytest.approx(-0.5) and "authors" not in row for row in found)
    for other in ({"activation": "tanh"}, {"depth": 20}, {"data": "mnist_5k"}, {"family": "CNN"}):
        assert study.comparison(table.assign(**other)) == []
