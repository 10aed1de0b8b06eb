"""Estimates with bootstrap confidence intervals.

Percentile intervals are too narrow for few seeds. They are widened as Hesterberg (2015, "What teachers should know
about the bootstrap", §5.3) does: the level is raised so that the interval of a mean has about the length of Student's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

LEVEL = 0.95
RESAMPLES = 9999


class Interval(NamedTuple):
    """A statistic, its 95 % interval, and the number of seeds in the smallest sample behind it."""

    estimate: float
    low: float
    high: float
    seeds: int

    def in_words(self) -> str:
        """
        >>> Interval(0.12345, 0.1, 0.2, 5).in_words(), Interval(np.nan, -np.inf, np.inf, 1).in_words()
        ('0.123 [0.1, 0.2]', 'none')
        """
        estimate, *ends = (f"{value:.3g}" if np.isfinite(value) else "" for value in self[:3])
        return f"{estimate} [{ends[0] or '?'}, {ends[1] or '?'}]" if estimate else "none"


def bootstrap(statistic: Callable[..., np.ndarray], *samples: Sequence[float], paired: bool = False) -> Interval:
    """The interval of `statistic(*samples, axis=-1)`, which reduces the last axis of each sample.

    Args:
        paired: the i-th entries of all samples belong together, to one seed, and are drawn together.

    >>> bootstrap(np.mean, [1.0, 1.0, 1.0, 1.0, 1.0])
    Interval(estimate=1.0, low=1.0, high=1.0, seeds=5)
    """
    arrays = [np.asarray(sample, dtype=float) for sample in samples]
    seeds = min(map(len, arrays))
    estimate = float(statistic(*arrays, axis=-1))
    if seeds < 2 or not np.isfinite(estimate):
        return Interval(estimate, -np.inf, np.inf, seeds)
    with np.errstate(all="ignore"):  # a resample of a constant may divide by zero, which then is an infinite end
        result = stats.bootstrap(
            arrays,
            statistic,
            paired=paired,
            vectorized=True,
            method="percentile",
            confidence_level=expanded_level(seeds),
            n_resamples=RESAMPLES,
            batch=1000,
            rng=np.random.default_rng(0),
        ).confidence_interval
    low, high = (end if np.isfinite(end) else sign * np.inf for end, sign in zip(result, (-1, 1), strict=True))
    return Interval(estimate, float(low), float(high), seeds)


def expanded_level(seeds: int) -> float:
    """The level whose percentile interval of a mean covers about `LEVEL` with that many seeds.

    >>> round(expanded_level(5), 3), round(expanded_level(1000), 3)
    (0.998, 0.95)
    """
    quantile = stats.t.ppf((1 + LEVEL) / 2, seeds - 1) * np.sqrt(seeds / (seeds - 1))
    return float(2 * stats.norm.cdf(quantile) - 1)


def log_slope(widths: Sequence[float], transform: Callable[..., np.ndarray] = np.mean) -> Callable[..., np.ndarray]:
    """A statistic: the slope of log `transform`(sample) in log width, a sample for each width.

    >>> round(float(log_slope([1, 10])(np.ones(3), 100 * np.ones(3), axis=-1)), 6)
    2.0
    """
    x = np.log(np.asarray(widths, dtype=float))
    weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()

    def slope(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        return sum(w * np.log(transform(s, axis=axis)) for w, s in zip(weights, samples, strict=True))

    return slope


def geometric_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Of positive values; one seed with a large value weighs less in it than in the mean."""
    return np.exp(np.mean(np.log(values), axis=axis))


def difference_of(statistic: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A statistic of two samples: that of the first less that of the second.

    >>> difference_of(np.mean)([3.0, 5.0], [1.0, 2.0], axis=-1)
    np.float64(2.5)
    """
    return lambda one, other, axis=-1: statistic(one, axis=axis) - statistic(other, axis=axis)


def relative_variance(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Var/E²."""
    return np.var(values, axis=axis, ddof=1) / np.mean(values, axis=axis) ** 2


def log_variance(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Var[log]."""
    return np.var(np.log(values), axis=axis, ddof=1)
