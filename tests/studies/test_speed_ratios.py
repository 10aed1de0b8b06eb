"""Ratios of τ, of networks that are above the threshold before their first update, and of those that never are."""

import numpy as np
import pandas as pd
import pytest

from orthontk.studies.speed_ratios import best_rates, log_ratios, log_ratios_at_shares

GAUSSIAN, ORTHOGONAL = [8, 0], [2, 4]  # τ of seeds 0 and 1, at every rate


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [
        {"seed": seed, "init": init, "learning_rate": rate, "fraction": rate, "tau": tau}
        for init, taus in (("gaussian", GAUSSIAN), ("orthogonal", ORTHOGONAL))
        for seed, tau in enumerate(taus)
        for rate in (0.1, 0.2)
    ]
    return pd.DataFrame(rows)


def test_a_tau_of_0_counts_as_1_of_each_pair(table):
    expected = np.log([4, 1 / 4])
    np.testing.assert_allclose(log_ratios(table, "orthogonal"), np.stack([expected, expected], axis=1))
    np.testing.assert_allclose(log_ratios_at_shares(table, "orthogonal"), expected)


def speeds(**columns) -> pd.DataFrame:
    """τ = 10/η of three seeds of either initialization, but for the named columns' functions of seed, init and rate."""
    rows = [
        {"seed": seed, "init": init, "learning_rate": rate, "fraction": rate, "tau": 10 / rate}
        | {name: value(seed, init, rate) for name, value in columns.items()}
        for seed in range(3)
        for init in ("gaussian", "orthogonal")
        for rate in (0.01, 0.03, 0.1, 0.3)
    ]
    return pd.DataFrame(rows)


def test_a_censored_run_is_in_no_ratio():
    """Its seed is averaged over the other learning rates; a share between it and a neighbour has no τ either."""

    def tau(seed, init, rate):
        return {(0, "gaussian", 0.3): np.nan, (0, "gaussian", 0.01): 200}.get((seed, init, rate), 100)

    table = speeds(tau=tau)
    np.testing.assert_allclose(log_ratios(table, "orthogonal"), [[np.log(2), 0, 0, np.nan], [0] * 4, [0] * 4])
    np.testing.assert_allclose(np.nanmean(log_ratios(table, "orthogonal"), axis=1), [np.log(2) / 3, 0, 0])
    first, *others = log_ratios_at_shares(table, "orthogonal")
    assert 0 < first < np.log(2) and others == [0, 0]
    assert best_rates(table, "orthogonal").estimate == 0  # of (200, 100, 100), (100, 100, 100) and (100, 100)


def test_a_seed_run_at_fewer_rates_is_not_continued_beyond_them():
    """Its τ at the last of them, held, would make it slow at larger ones."""
    table = speeds()
    fewer = table[(table.seed != 1) | (table.init != "gaussian") | (table.learning_rate < 0.1)]
    np.testing.assert_allclose(log_ratios_at_shares(fewer, "orthogonal"), [0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(log_ratios(fewer, "orthogonal"), np.zeros((2, 4)))


def test_each_seed_is_compared_at_shares_of_its_own_largest_rate():
    """Seed 2's Gaussian network is stable up to half of what the others are, and as much slower at an equal η."""
    slower = {(2, "gaussian"): 2}
    table = speeds(
        fraction=lambda seed, init, rate: rate * slower.get((seed, init), 1),
        tau=lambda seed, init, rate: 10 / rate / slower.get((seed, init), 1),
    )
    np.testing.assert_allclose(log_ratios_at_shares(table, "orthogonal"), [0, 0, 0], atol=1e-12)


def test_a_seed_without_a_largest_rate_or_a_partner_has_no_share():
    table = speeds()
    table.loc[(table.seed == 0) & (table.init == "gaussian"), "fraction"] = np.nan
    alone = table[(table.seed != 1) | (table.init == "gaussian")]
    assert len(log_ratios_at_shares(alone, "orthogonal")) == 1


def test_a_tau_of_0_counts_as_1_in_means(table):
    assert best_rates(table, "orthogonal").estimate == pytest.approx(np.log(4.5 / 3))
