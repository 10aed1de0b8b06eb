"""The figure of kernels that come from few draws."""

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
