"""Intervals: exact where they can be, and covering what they say they cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthontk.report.statistics import bootstrap, expanded_level, geometric_mean, log_slope, relative_variance


def test_power_laws_have_their_exponent():
    widths = [8, 16, 64]
    samples = [np.full(5, 3.0 * width**-0.7) for width in widths]
    for transform in (np.mean, geometric_mean):
        interval = bootstrap(log_slope(widths, transform), *samples)
        assert interval.estimate == pytest.approx(-0.7) and interval.low == pytest.approx(-0.7)


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=20), st.floats(0.1, 10))
def test_relative_variance_has_no_unit(values, unit):
    values = np.array(values)
    expected = values.var(ddof=1) / values.mean() ** 2
    assert relative_variance(unit * values) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_few_seeds_are_covered_too():
    """95 % of the intervals from 8 normal seeds hold their mean: plain percentiles hold it in 90 %."""
    draws = np.random.default_rng(1).standard_normal((200, 8))
    hits = [interval.low <= 0 <= interval.high for interval in (bootstrap(np.mean, own) for own in draws)]
    assert np.mean(hits) >= 0.92


def test_the_level_is_student_like():
    assert expanded_level(5) > expanded_level(20) > expanded_level(1000) > 0.95


def test_paired_seeds_cancel_what_they_share():
    shared = np.random.default_rng(0).normal(0, 10, 10)
    first, second = shared + 0.1, shared

    def difference(one, other, axis=-1):
        return np.mean(one, axis=axis) - np.mean(other, axis=axis)

    paired, unpaired = (bootstrap(difference, first, second, paired=pairing) for pairing in (True, False))
    assert paired.low == pytest.approx(0.1) and paired.high == pytest.approx(0.1)
    assert unpaired.low < -1 and unpaired.high > 1


def test_one_seed_says_nothing():
    interval = bootstrap(np.mean, [2.0])
    assert (interval.low, interval.high, interval.seeds) == (-np.inf, np.inf, 1)
