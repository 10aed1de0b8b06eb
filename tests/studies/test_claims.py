"""What follows from an interval."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from orthontk.report.claims import (
    LEAST_SEEDS,
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    Claim,
    Shrinking,
    below,
    difference,
    of_each_panel,
    sameness,
)
from orthontk.report.statistics import Interval

ENDS = st.tuples(st.floats(-1, 1), st.floats(0, 1)).map(lambda ends: (ends[0], ends[0] + ends[1]))


def interval(low, high, seeds=20):
    return Interval((low + high) / 2, low, high, seeds)


@given(ENDS, st.floats(-1, 1))
def test_a_difference_is_where_its_whole_interval_is(ends, threshold):
    verdict = difference("c", "w", "s", interval(*ends), threshold).verdict
    assert (verdict == SUPPORTED) == (ends[0] > threshold)
    assert (verdict == NOT_SUPPORTED) == (ends[1] < threshold)


@given(ENDS, st.floats(0.01, 1))
def test_sameness_is_never_concluded_from_an_interval_that_leaves_the_margin(ends, margin):
    verdict = sameness("c", "w", "s", interval(*ends), margin).verdict
    assert (verdict == SUPPORTED) == (-margin <= ends[0] and ends[1] <= margin)
    assert (verdict == NOT_SUPPORTED) == (ends[0] > margin or ends[1] < -margin)


def test_a_wide_interval_around_zero_proves_nothing():
    assert sameness("c", "w", "s", interval(-0.5, 0.5), 0.1).verdict == UNDECIDED


def test_a_gap_that_can_be_seen_has_to_shrink():
    seen, unseen = interval(0.02, 0.06), interval(-0.01, 0.01)
    smaller, alike, larger = interval(0.1, 0.2), interval(-0.1, 0.1), interval(-0.2, -0.1)

    def verdict(widest, narrowest, decrease):
        return sameness("c", "w", "s", widest, 0.1, shrinking=Shrinking(narrowest, decrease)).verdict

    for gaps in ((seen, seen), (unseen, seen), (seen, unseen)):
        verdicts = [verdict(*gaps, decrease) for decrease in (smaller, alike, larger)]
        assert verdicts == [SUPPORTED, UNDECIDED, NOT_SUPPORTED]
    assert verdict(unseen, unseen, alike) == SUPPORTED


@given(ENDS)
def test_too_few_seeds_decide_nothing(ends):
    few = interval(*ends, seeds=LEAST_SEEDS - 1)
    claims = difference("c", "w", "s", few, 0), sameness("c", "w", "s", few, 0.1), below("c", "w", "s", few, 0.1)
    assert {claim.verdict for claim in claims} == {UNDECIDED}


def test_infinite_ends_become_null_in_json():
    plain = difference("c", "w", "s", Interval(np.nan, -np.inf, np.inf, 9), 0).plain()
    assert plain["estimate"] is None and plain["low"] is None and plain["verdict"] == UNDECIDED


def test_shrinking_that_was_seen_in_too_few_seeds_decides_nothing():
    few = Shrinking(Interval(0.2, 0.19, 0.21, 2), Interval(0.18, 0.17, 0.19, 2))
    for judge in (sameness, below):
        assert judge("c", "w", "s", interval(0.01, 0.02), 0.1, shrinking=few).verdict == UNDECIDED


def test_a_bound_itself_is_neither_below_it_nor_above():
    assert below("c", "w", "s", interval(0.0, 0.1), 0.1).verdict == UNDECIDED
    assert below("c", "w", "s", interval(0.1, 0.2), 0.1).verdict == UNDECIDED


def test_a_panel_of_which_nothing_can_be_judged_says_so_beside_those_that_can():
    def judge(where: str, part: pd.DataFrame) -> list[Claim]:
        return [difference("a", where, "b", interval, 0.0) for interval in part.interval.dropna()]

    judged = pd.DataFrame({"interval": [Interval(1.0, 0.5, 1.5, 9)]})
    nothing = pd.DataFrame({"interval": [None]})
    some = of_each_panel([("tanh", judged), ("relu", nothing)], judge, "orthogonal weights")
    verdicts = [(claim.where, claim.verdict) for claim in some]
    assert verdicts == [("tanh", SUPPORTED), ("relu", "not judged: needs orthogonal weights")]
    assert of_each_panel([("tanh", nothing), ("relu", nothing)], judge, "orthogonal weights") == []
