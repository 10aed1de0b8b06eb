"""Fewer points and digits than were measured: what a screen can show, and what a page of a thousand runs can hold."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

DIGITS = 4
FULL = 100  # runs that are shown in full detail


@dataclass(frozen=True)
class Detail:
    """How much of a run the page holds.

    Args:
        points: of a curve.
        pixels: of a heatmap's side.
        checkpoints: of which there are heatmaps.
    """

    points: int = 200
    pixels: int = 48
    checkpoints: int = 10

    @classmethod
    def of_page(cls, runs: int) -> "Detail":
        """Less for each, the more runs there are.

        >>> Detail.of_page(100) == Detail()
        True
        """
        share = math.sqrt(min(1, FULL / max(runs, 1)))
        return cls(max(60, round(200 * share)), max(20, round(48 * share)), max(5, round(10 * share)))


def places(values: Sequence[float], most: int) -> list[int]:
    """At most `most` indices into a curve, for a linear and a logarithmic axis alike: half of them the least and the
    largest values of even parts, so that no spike is lost, half more densely at the beginning.

    >>> places([0.0] * 700 + [9.0] + [0.0] * 299, 10)
    [0, 3, 15, 62, 250, 500, 700, 999]
    """
    if len(values) <= most:
        return list(range(len(values)))
    numbers = np.nan_to_num(np.asarray(values, dtype=float))
    parts = np.array_split(np.arange(len(numbers)), max(1, most // 4))
    extreme = [part[choose(numbers[part])] for part in parts for choose in (np.argmin, np.argmax)]
    early = np.geomspace(1, len(numbers), most - len(extreme)) - 1
    return sorted({int(place) for place in np.rint(np.concatenate([extreme, early]))})


def rounded(values: Iterable[float]) -> list[float | None]:
    """To four significant digits; None for what is no finite number, which JSON does not know.

    >>> rounded([3.14159, float("nan"), 1e9, 7])
    [3.142, None, 1000000000, 7]
    """
    return [_rounded(float(value)) for value in values]


def _rounded(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    short = value if value.is_integer() and abs(value) < 1e9 else float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
