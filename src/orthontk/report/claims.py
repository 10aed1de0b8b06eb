"""A claim of the paper as a statistic, its interval, and what follows from it."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import pandas as pd

from orthontk.files import finite_or_none
from orthontk.report.statistics import Interval

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided (needs more seeds)"
TOO_MANY_LEFT_OUT = "undecided (too many left out)"
# The share of trainings above which those that are left may be alike, or stable, because they are the ones left.
MOST_LEFT_OUT = 0.2
# Below this no bootstrap interval deserves its name, whatever it looks like.
LEAST_SEEDS = 5
ALL_CLAIMS = "all of its claims"


@dataclass(frozen=True)
class Claim:
    """What is claimed of which networks, and the verdict."""

    claim: str
    where: str
    statistic: str
    interval: Interval
    expected: str
    verdict: str
    reason: str = ""  # of the margin or threshold
    note: str = ""

    def plain(self) -> dict[str, Any]:
        """For JSON, which has no infinities."""
        numbers = finite_or_none(self.interval._asdict())
        texts = {name: getattr(self, name) for name in ("claim", "where", "statistic")}
        return texts | numbers | {name: getattr(self, name) for name in ("expected", "verdict", "reason", "note")}

    @property
    def low(self) -> float:
        return self.interval.low

    @property
    def high(self) -> float:
        return self.interval.high


def difference(claim: str, where: str, statistic: str, interval: Interval, threshold: float, **text: str) -> Claim:
    """A claim that something is large: supported if the whole interval is above `threshold`."""
    unjudged = Claim(claim, where, statistic, interval, f"> {threshold:.4g}", "", **text)
    return _judged(unjudged, interval.low > threshold, interval.high < threshold)


def sameness(
    claim: str,
    where: str,
    statistic: str,
    interval: Interval,
    margin: float,
    *,
    around: float = 0.0,
    shrinking: "Shrinking | None" = None,
    **text: str,
) -> Claim:
    """A claim that something is `around`, an equivalence test: supported if the whole interval is within `margin`.

    An interval that merely contains `around` proves nothing.

    Args:
        shrinking: for a claim about infinite width, how the gap changes with width. A gap that can be seen, in the
            widest networks or in the narrowest, has to shrink as well.
    """
    low, high = around - margin, around + margin
    unjudged = Claim(claim, where, statistic, interval, f"in [{low:.4g}, {high:.4g}]", "", **text)
    inside, outside = low <= interval.low and interval.high <= high, interval.low > high or interval.high < low
    return _judged(unjudged, inside, outside, shrinking)


class Shrinking(NamedTuple):
    """The gap of the narrowest networks, and by how much its size exceeds that of the widest."""

    narrowest: Interval
    decrease: Interval

    @property
    def grows(self) -> bool:
        return self.decrease.high < 0

    def allows(self, widest: Interval) -> bool:
        """Whether it shrinks, or there is none to be seen at either end."""
        seen = any(gap.low > 0 or gap.high < 0 for gap in (self.narrowest, widest))
        return self.decrease.low > 0 or not seen

    def described(self) -> str:
        (gap, gap_low, gap_high, _), (less, low, high, _) = self
        return f"narrowest {gap:.3g} [{gap_low:.3g}, {gap_high:.3g}], decrease {less:.3g} [{low:.3g}, {high:.3g}]"


def below(
    claim: str,
    where: str,
    statistic: str,
    interval: Interval,
    bound: float,
    *,
    shrinking: Shrinking | None = None,
    **text: str,
) -> Claim:
    """A claim that a quantity that is never negative is small: the whole interval is below `bound`.

    Args:
        shrinking: as of `sameness`.
    """
    unjudged = Claim(claim, where, statistic, interval, f"< {bound:.4g}", "", **text)
    return _judged(unjudged, interval.high < bound, interval.low > bound, shrinking)


def _judged(claim: Claim, inside: bool, outside: bool, shrinking: Shrinking | None = None) -> Claim:
    """The claim with its verdict: where its whole interval is, and whether the gap shrinks if it has to."""
    too_few = claim.interval.seeds < LEAST_SEEDS or (shrinking is not None and shrinking.decrease.seeds < LEAST_SEEDS)
    if too_few or not math.isfinite(claim.interval.estimate):
        verdict = UNDECIDED
    elif outside or (shrinking is not None and shrinking.grows):
        verdict = NOT_SUPPORTED
    else:
        verdict = SUPPORTED if inside and (shrinking is None or shrinking.allows(claim.interval)) else UNDECIDED
    if shrinking is None:
        return replace(claim, verdict=verdict)
    note = "; ".join(filter(None, [claim.note, shrinking.described()]))
    return replace(claim, verdict=verdict, expected=f"{claim.expected}, shrinking with width", note=note)


def of_those_left(claim: Claim, left_out: float) -> Claim:
    """The claim, which is not supported where a share of more than `MOST_LEFT_OUT` of the trainings is `left_out`."""
    too_many = claim.verdict == SUPPORTED and left_out > MOST_LEFT_OUT
    return replace(claim, verdict=TOO_MANY_LEFT_OUT) if too_many else claim


def not_judged(claim: str, where: str, needs: str) -> Claim:
    """A claim of which the runs say nothing, and what it `needs`."""
    return Claim(claim, where, "", Interval(math.nan, -math.inf, math.inf, 0), "", f"not judged: needs {needs}")


def of_each_panel(
    panels: Iterable[tuple[str, pd.DataFrame]], judge: Callable[[str, pd.DataFrame], Iterable[Claim]], needs: str
) -> list[Claim]:
    """The claims of all panels; one that has none, beside others that have some, says what it `needs`."""
    found = [(where, list(judge(where, part))) for where, part in panels]
    if not any(claims for _, claims in found):
        return []
    return [claim for where, claims in found for claim in claims or [not_judged(ALL_CLAIMS, where, needs)]]
