"""Metrics that a study asks for and no run has, such as one whose name is mistyped."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from orthontk.ensemble.replicas import COLUMNS
from orthontk.report.gather import Run

SHOWN = 3  # of the metrics that there are


def unmeasured(runs: Sequence[Run]) -> Iterator[tuple[str, str]]:
    """Each with what the runs have, those of similar names first, in words."""
    asked = sorted(set().union(*(run.lacking for run in runs)))
    there = {name for run in runs for row in run.rows for name in row} - {*COLUMNS} if asked else set()
    for metric in asked:
        if metric not in there:
            yield metric, _in_words(get_close_matches(metric, sorted(there), n=SHOWN, cutoff=0), len(there))


def _in_words(nearest: Sequence[str], count: int) -> str:
    names = ", ".join([*nearest, *["…"] * (count > len(nearest))])
    return f"which no run has; they have {names or 'none'}"
