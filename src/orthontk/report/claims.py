"""A claim of the paper as a statistic, its interval, and what follows from it."""

import math
from dataclasses import dataclass
from typing import Any

from orthontk.report.statistics import Interval

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided (needs more seeds)"
# Below this no bootstrap interval deserves its name, whatever it looks like.
LEAST_SEEDS = 5


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
        low, high, estimate = (v if math.isfinite(v) else None for v in (self.low, self.high, self.interval.estimate))
        numbers = {"estimate": estimate, "low": low, "high": high, "seeds": self.interval.seeds}
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
    if _too_few(interval):
        verdict = UNDECIDED
    elif interval.low > threshold:
        verdict = SUPPORTED
    else:
        verdict = NOT_SUPPORTED if interval.high < threshold else UNDECIDED
    return Claim(claim, where, statistic, interval, f"> {threshold:.4g}", verdict, **text)


def sameness(
    claim: str,
    where: str,
    statistic: str,
    interval: Interval,
    margin: float,
    *,
    around: float = 0.0,
    shrinking: Interval | None = None,
    **text: str,
) -> Claim:
    """A claim that something is `around`, an equivalence test: supported if the whole interval is within `margin`.

    An interval that merely contains `around` proves nothing.

    Args:
        shrinking: of the gap at the narrowest less the gap at the widest networks, for a claim about infinite width: it
            has to be above zero as well.
    """
    low, high = around - margin, around + margin
    if _too_few(interval):
        verdict = UNDECIDED
    elif interval.low > high or interval.high < low or (shrinking is not None and shrinking.high < 0):
        verdict = NOT_SUPPORTED
    else:
        inside = low <= interval.low and interval.high <= high
        verdict = SUPPORTED if inside and (shrinking is None or shrinking.low > 0) else UNDECIDED
    expected = f"in [{low:.4g}, {high:.4g}]" + (", shrinking with width" if shrinking is not None else "")
    if shrinking is not None:
        change = f"narrowest − widest: {shrinking.estimate:.3g} [{shrinking.low:.3g}, {shrinking.high:.3g}]"
        text["note"] = "; ".join(filter(None, [text.get("note", ""), change]))
    return Claim(claim, where, statistic, interval, expected, verdict, **text)


def below(claim: str, where: str, statistic: str, interval: Interval, bound: float, **text: str) -> Claim:
    """A claim that a quantity that is never negative is small: the whole interval is below `bound`."""
    if _too_few(interval):
        verdict = UNDECIDED
    elif interval.high < bound:
        verdict = SUPPORTED
    else:
        verdict = NOT_SUPPORTED if interval.low > bound else UNDECIDED
    return Claim(claim, where, statistic, interval, f"< {bound:.4g}", verdict, **text)


def _too_few(interval: Interval) -> bool:
    return interval.seeds < LEAST_SEEDS or not math.isfinite(interval.estimate)
