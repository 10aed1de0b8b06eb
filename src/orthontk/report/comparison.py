"""A study's figures beside those of the authors, or beside what is expected where they published none."""

from collections.abc import Mapping
from typing import Any

from orthontk.report.statistics import Interval

HEADING = "Beside the authors' figures, or what is expected"
COLUMNS = ("quantity", "authors", "here [95 %]", "seeds")


def cells(row: Mapping[str, Any]) -> list[str]:
    """The texts of a row that has a figure as `authors` or as `expected`.

    >>> cells({"quantity": "slope", "expected": -0.5, "estimate": -0.52, "low": -0.6, "high": float("inf"), "seeds": 5})
    ['slope', '-0.5 (expected)', '-0.52 [-0.6, ?]', '5']
    """
    published = f"{row['authors']:.4g}" if "authors" in row else f"{row['expected']:.4g} (expected)"
    interval = Interval(row["estimate"], row["low"], row["high"], row["seeds"])
    return [row["quantity"], published, interval.in_words(), str(row["seeds"])]
