"""Ratios of τ between two initializations, seed by seed. A table has one row for each seed, init and learning rate.

A τ of 0, that of a network above the threshold before its first update, counts as 1 in a ratio, and a censored one as
the updates of the training, the least that it can be: without its slowest runs an initialization would look faster, and
of many learning rates hardly a seed is censored at none.
"""

import numpy as np
import pandas as pd

from orthontk.report.statistics import Interval, bootstrap
from orthontk.studies.replicas import BASELINE

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
    """log(τ Gaussian/τ other), (seeds, learning rates): the seeds that ran at all of these; ascending rates."""
    if not {BASELINE, init} <= set(table.init):
        return np.empty((0, 0))
    logs = table.assign(log=_log_taus(table)).pivot_table(index="seed", columns=["init", "learning_rate"], values="log")
    both = [logs[name].reindex(columns=sorted(table.learning_rate.unique())) for name in (BASELINE, init)]
    return (both[0] - both[1]).dropna().to_numpy()


def slopes(ratios: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The least-squares slope of each row in the log of the learning rates.

    >>> slopes(np.array([[0.0, 1.0, 2.0]]), np.exp([0.0, 0.5, 1.0]))
    array([2.])
    """
    x = np.log(rates) - np.log(rates).mean()
    return ratios @ x / (x @ x)


def log_ratios_at_shares(table: pd.DataFrame, init: str) -> np.ndarray:
    """The mean over η/η_max of log(τ Gaussian/τ other), one for each seed of which both networks' η_max is known.

    log τ is interpolated linearly in log η between the learning rates that were run, over the shares that both networks
    of the seed were trained at. Each has an η_max of its own, so that what it varies by is in the seeds' spread.
    """
    known = table.dropna(subset=["fraction"])
    known = known.assign(share=np.log(known.fraction), log=_log_taus(known)).sort_values("share")
    found = []
    for _, own in known.groupby("seed"):
        one, other = (own[own.init == name] for name in (BASELINE, init))
        low, high = np.maximum(one.share.min(), other.share.min()), np.minimum(one.share.max(), other.share.max())
        if low < high:  # neither is NaN, that of a network which was not run
            at = np.linspace(low, high, SHARES)
            found.append(np.mean(np.interp(at, one.share, one.log) - np.interp(at, other.share, other.log)))
    return np.array(found)


def best_rates(table: pd.DataFrame, init: str) -> Interval | None:
    """log of the least mean τ of Gaussian weights over that of the other, with η chosen anew in each resample.

    Args:
        table: each initialization at its own usable rates.
    """
    columns = [
        table[table.init == name].pivot_table(index="seed", columns="learning_rate", values="tau_at_least").dropna()
        for name in (BASELINE, init)
    ]
    seeds, split = columns[0].index.intersection(columns[1].index), columns[0].shape[1]
    samples = [taus.loc[seeds, rate].to_numpy() for taus in columns for rate in taus.columns]
    if len(seeds) < 2:
        return None

    def statistic(*taus: np.ndarray, axis: int = -1) -> np.ndarray:
        means = [np.mean(np.maximum(values, 1), axis=axis) for values in taus]
        return np.log(np.min(means[:split], axis=0) / np.min(means[split:], axis=0))

    return bootstrap(statistic, *samples, paired=True)


def _log_taus(table: pd.DataFrame) -> pd.Series:
    return np.log(table.tau_at_least.clip(lower=1))
