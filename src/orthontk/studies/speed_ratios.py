"""Ratios of τ between two initializations, seed by seed. A table has one row for each seed, init and learning rate.

A τ of 0, that of a network above the threshold before its first update, counts as 1 in a ratio.
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
    """log(τ Gaussian/τ other), (seeds, learning rates): the seeds for which no pair is censored; ascending rates."""
    logs = np.log(table.pivot_table(index="seed", columns=["init", "learning_rate"], values="tau").clip(lower=1))
    if not {BASELINE, init} <= set(table.init):
        return np.empty((0, 0))
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
    """The mean over η/η_max of log(τ Gaussian/τ other), one for each seed; empty where η_max is not known.

    log τ is interpolated linearly in log η between the learning rates that were run. A seed that is censored at one
    that counts, or was not run up to both ends of the range, is left out.
    """
    known = table.dropna(subset=["fraction"])
    known = known.assign(share=np.log(known.fraction))
    reached = known.dropna(subset=["tau"])
    if not {BASELINE, init} <= set(reached.init):
        return np.empty(0)
    ranges = reached.groupby("init").share.agg(["min", "max"])
    low, high = ranges["min"].max(), ranges["max"].min()
    if low >= high:
        return np.empty(0)
    at = np.linspace(low, high, SHARES)
    found = []
    for _, own in known.groupby("seed"):
        curves = [own[own.init == name].sort_values("share") for name in (BASELINE, init)]
        if all(len(curve) > 1 for curve in curves):
            one, other = (
                np.interp(at, curve.share, np.log(curve.tau.clip(lower=1)), left=np.nan, right=np.nan)
                for curve in curves
            )
            found.append((one - other).mean())  # NaN where a τ is
    found = np.array(found)
    return found[np.isfinite(found)]


def best_rates(table: pd.DataFrame, init: str, most_censored: float) -> Interval | None:
    """log of the least mean τ of Gaussian weights over that of the other, with η chosen anew in each resample."""
    columns, split = [], 0
    for name in (BASELINE, init):
        own = usable_rates(table[table.init == name], most_censored)
        taus = own.pivot_table(index="seed", columns="learning_rate", values="tau")
        columns.append(taus)
        split = split or taus.shape[1]
    seeds = columns[0].dropna().index.intersection(columns[1].dropna().index)
    samples = [taus.loc[seeds, rate].to_numpy() for taus in columns for rate in taus.columns]
    if not all(taus.shape[1] for taus in columns) or len(seeds) < 2:
        return None

    def statistic(*taus: np.ndarray, axis: int = -1) -> np.ndarray:
        means = [np.mean(np.maximum(values, 1), axis=axis) for values in taus]
        return np.log(np.min(means[:split], axis=0) / np.min(means[split:], axis=0))

    return bootstrap(statistic, *samples, paired=True)
