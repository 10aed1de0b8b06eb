"""Ratios of τ where a network is above the threshold before its first update."""

import numpy as np
import pandas as pd
import pytest

from orthontk.studies.speed_ratios import best_rates, log_ratios, log_ratios_at_shares

GAUSSIAN, ORTHOGONAL = [8, 0], [2, 4]  # τ of seeds 0 and 1, at every rate


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [
        {"seed": seed, "init": init, "learning_rate": rate, "fraction": rate, "tau": tau, "censored": False}
        for init, taus in (("gaussian", GAUSSIAN), ("orthogonal", ORTHOGONAL))
        for seed, tau in enumerate(taus)
        for rate in (0.1, 0.2)
    ]
    return pd.DataFrame(rows)


def test_a_tau_of_0_counts_as_1_of_each_pair(table):
    expected = np.log([4, 1 / 4])
    np.testing.assert_allclose(log_ratios(table, "orthogonal"), np.stack([expected, expected], axis=1))
    np.testing.assert_allclose(log_ratios_at_shares(table, "orthogonal"), expected)


def test_a_tau_of_0_counts_as_1_in_means(table):
    assert best_rates(table, "orthogonal", most_censored=0).estimate == pytest.approx(np.log(4.5 / 3))
