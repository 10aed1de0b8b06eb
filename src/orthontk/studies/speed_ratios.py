"""Ratios of τ between two initializations, seed by seed. A table has one row for each seed, init and learning rate.

A τ of 0, that of a network above the threshold before its first update, counts as 1 in a ratio. A censored one is in
no ratio: each seed is averaged over the learning rates at which both of its networks got there. That leaves out the
slowest runs, so an initialization with censored runs is slower than its ratios say.
"""

import numpy as np
import pandas as pd

from orthontk.report.statistics import Interval, bootstrap
from orthontk.studies.initializations import BASELINE

SHARES = 5  # values of η/η_max that are compared, evenly spaced in its log over the common range


def usable_rates(table: pd.DataFrame, most_censored: float) -> pd.DataFrame:
    """The rows of learning rates at which hardly any run of any initialization is censored.

    >>> table = pd.DataFrame({"init": ["a", "b"], "learning_rate": [1.0, 1.0], "censored": [False, True]})
    >>> len(usable_rates(table, 0.2))
    0
    """
    shares = table.groupby(["learning_rate", "init"]).censored.mean().unstack("init")
    complete = shares.dropna()
    usable = complete.index[(complete <= most_censored).all(axis=1)]
    return table[table.learning_rate.isin(usable)]


def log_ratios(table: pd.DataFrame, init: str) -> np.ndarray:
    """log(τ Gaussian/τ other), (seeds, ascending learning rates), NaN where one is censored.

    Of the seeds that ran at all of these rates, and have a ratio at some.
    """
    if not {BASELINE, init} <= set(table.init):
        return np.empty((0, 0))
    logs = table.assign(log=_log_taus(table)).set_index(["seed", "init", "learning_rate"]).log.unstack("init")
    ratios = (logs[BASELINE] - logs[init]).unstack("learning_rate")
    ran = table.groupby(["seed", "learning_rate"]).init.nunique().unstack("learning_rate") == table.init.nunique()
    return ratios[ran.all(axis=1)].dropna(how="all").to_numpy()


def slopes(ratios: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The least-squares slope of each row in the log of the learning rates, of rows with two ratios or more.

    >>> slopes(np.array([[0.0, 1.0, 2.0], [0.0, 1.0, np.nan]]), np.exp([0.0, 0.5, 1.0]))
    array([2., 2.])
    """
    ratios = ratios[np.isfinite(ratios).sum(axis=1) > 1]
    x = np.where(np.isfinite(ratios), np.log(rates), np.nan)
    x -= np.nanmean(x, axis=1, keepdims=True)
    return np.nansum(x * ratios, axis=1) / np.nansum(x * x, axis=1)


def log_ratios_at_shares(table: pd.DataFrame, init: str) -> np.ndarray:
    """The mean over η/η_max of log(τ Gaussian/τ other), one for each seed of which both networks' η_max is known.

    log τ is interpolated linearly in log η between neighbours of which none is censored, over the shares that both
    networks of the seed were trained at. Each has an η_max of its own, so that what it varies by is in the seeds'
    spread.
    """
    known = table.dropna(subset=["fraction"])
    known = known.assign(share=np.log(known.fraction), log=_log_taus(known)).sort_values("share")
    found = []
    for _, own in known.groupby("seed"):
        one, other = (own[own.init == name] for name in (BASELINE, init))
        low, high = np.maximum(one.share.min(), other.share.min()), np.minimum(one.share.max(), other.share.max())
        if low < high:  # neither is NaN, that of a network which was not run
            at = np.linspace(low, high, SHARES)
            ratio = np.interp(at, one.share, one.log) - np.interp(at, other.share, other.log)
            found += [np.nanmean(ratio)] if np.isfinite(ratio).any() else []
    return np.array(found)


def best_rates(table: pd.DataFrame, init: str) -> Interval | None:
    """log of the least mean τ of Gaussian weights over that of the other, with η chosen anew in each resample.

    A mean is over what is not censored at its rate.

    Args:
        table: each initialization at its own usable rates.
    """
    columns = [
        table[table.init == name].pivot_table(index="seed", columns="learning_rate", values="tau")
        for name in (BASELINE, init)
    ]
    seeds, split = columns[0].index.intersection(columns[1].index), columns[0].shape[1]
    samples = [taus.loc[seeds, rate].to_numpy() for taus in columns for rate in taus.columns]
    if len(seeds) < 2 or not all(len(taus.columns) for taus in columns):
        return None

    def statistic(*taus: np.ndarray, axis: int = -1) -> np.ndarray:
        # A resample may have no run at all that got there: 0/0 is no mean, and never the least.
        own = [np.nansum(np.maximum(tau, 1), axis=axis) / np.isfinite(tau).sum(axis=axis) for tau in taus]
        return np.log(np.nanmin(own[:split], axis=0) / np.nanmin(own[split:], axis=0))

    return bootstrap(statistic, *samples, paired=True)


def _log_taus(table: pd.DataFrame) -> pd.Series:
    return np.log(table.tau.clip(lower=1))
