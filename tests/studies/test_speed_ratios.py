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


def test_a_seed_that_is_censored_at_a_share_that_counts_is_left_out():
    """Not compared at the rates at which it did learn, which would make it a fast one."""
    taus = {0.01: 100, 0.03: 50, 0.1: 20, 0.3: 200}
    rows = [
        {"seed": seed, "init": init, "fraction": fraction, "tau": tau}
        for seed in range(3)
        for init in ("gaussian", "orthogonal")
        for fraction, tau in taus.items()
    ]
    table = pd.DataFrame(rows)
    table.loc[(table.seed == 0) & (table.init == "gaussian") & (table.fraction == 0.3), "tau"] = np.nan
    np.testing.assert_allclose(log_ratios_at_shares(table, "orthogonal"), [0, 0])


def test_a_seed_run_at_fewer_rates_is_not_continued_beyond_them():
    """Its τ at the last of them, held, would make it slow at larger ones."""
    rates = (0.01, 0.03, 0.1, 0.3)
    rows = [
        {"seed": seed, "init": init, "fraction": rate, "tau": 10 / rate}
        for seed in range(3)
        for init in ("gaussian", "orthogonal")
        for rate in rates
        if (seed, init) != (1, "gaussian") or rate < 0.1
    ]
    np.testing.assert_allclose(log_ratios_at_shares(pd.DataFrame(rows), "orthogonal"), [0, 0], atol=1e-12)


def test_a_tau_of_0_counts_as_1_in_means(table):
    assert best_rates(table, "orthogonal", most_censored=0).estimate == pytest.approx(np.log(4.5 / 3))
