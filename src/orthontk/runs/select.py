"""Which runs are shown, in which order, and what is shown of them."""

import operator
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from orthontk.checks import InvalidValue
from orthontk.runs.collect import Entry

# Metrics that are shown where any run has them.
METRICS = ("train/tau", "test/tau", "train/loss", "test/accuracy", "ntk/change", "time/total")
OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"([^=<>!]+)(!=|<=|>=|=|<|>)((?![=<>!]).*)")


def differing(entries: Sequence[Entry]) -> list[str]:
    """Settings that have two values or more among the runs that have them at all, in the configuration's order."""
    values: dict[str, set[str]] = {}
    for entry in entries:
        for key, value in entry.values.items():
            if "/" not in key and key not in ("status", "replicas"):
                values.setdefault(key, set()).add(repr(_sortable(value)))
    return [key for key, distinct in values.items() if len(distinct) > 1]


def measured(entries: Sequence[Entry]) -> list[str]:
    """All metrics that any run has."""
    return sorted({key for entry in entries for key in entry.values if "/" in key})


def headings(keys: Sequence[str]) -> dict[str, str]:
    """For each key its last word, or the whole key where that would be ambiguous; metrics keep their names.

    >>> headings(["model.width", "seed", "data.seed", "test/accuracy"])
    {'model.width': 'width', 'seed': 'seed', 'data.seed': 'data.seed', 'test/accuracy': 'test/accuracy'}
    >>> headings(["init.scheme", "model.width", "data.seed", "seed"])
    {'init.scheme': 'init', 'model.width': 'width', 'data.seed': 'data.seed', 'seed': 'seed'}
    """
    last = {key: key.rsplit(".", 1)[-1] for key in keys}
    last |= {"init.scheme": "init"} if "init.scheme" in last and "init" not in keys else {}
    count = Counter(last.values())
    return {key: word if count[word] == 1 else key for key, word in last.items()}


def where(entries: Sequence[Entry], conditions: Sequence[str]) -> list[Entry]:
    """The runs for which every condition (`init.scheme=orthogonal`, `test/accuracy>0.5`) holds.

    Raises:
        InvalidValue: no condition, or a key that no run has.
    """
    chosen = list(entries)
    for condition in conditions:
        match = CONDITION.fullmatch(condition)
        if match is None:
            raise InvalidValue("--where", condition, "KEY=VALUE, or another of " + " ".join(OPERATORS))
        name, symbol, wanted = match.groups()
        key = key_of("--where", name, entries)
        chosen = [entry for entry in chosen if key in entry.values and _holds(entry.values[key], symbol, wanted)]
    return chosen


def ordered(entries: Sequence[Entry], by: str, descending: bool) -> list[Entry]:
    """Sorted by a column, numbers before texts; runs without a value come last either way."""
    key = key_of("--sort", by, entries)
    has = [entry for entry in entries if entry.values.get(key) is not None]
    has.sort(key=lambda entry: _sortable(entry.values[key]), reverse=descending)
    return has + [entry for entry in entries if entry.values.get(key) is None]


def key_of(option: str, name: str, entries: Sequence[Entry]) -> str:
    """The column that `name` means: a whole key, or its last word where only one differing key ends so."""
    known = {key for entry in entries for key in entry.values}
    if name in known:
        return name
    meant = [key for key, heading in headings(differing(entries)).items() if heading == name]
    if not meant:
        columns = ["status", *differing(entries), *measured(entries)]
        raise InvalidValue(option, name, "a setting such as model.width, or one of " + ", ".join(columns))
    return meant[0]


def _holds(value: Any, symbol: str, wanted: str) -> bool:
    number, wanted_number = _number(value), _number(wanted)
    if number is not None and wanted_number is not None:
        return bool(OPERATORS[symbol](number, wanted_number))
    return bool(OPERATORS[symbol](plain(value), wanted))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _sortable(value: Any) -> tuple[bool, float, str]:
    number = _number(value)
    return (True, 0.0, str(value)) if number is None else (False, number, "")


def plain(value: Any) -> str:
    """As it is shown, and as the command line gives it.

    >>> plain(None), plain(True), plain("2.01e-5"), plain(0.123456)
    ('null', 'true', '2.01e-05', '0.1235')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    number = _number(value)
    if number is None or isinstance(value, int):
        return str(value)
    return f"{number:.4g}"
