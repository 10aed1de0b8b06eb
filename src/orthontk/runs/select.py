"""Which runs are shown, in which order, and what is shown of them."""

import itertools
import operator
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from orthontk.checks import InvalidValue
from orthontk.runs.collect import CHOICES, STATUSES, Entry
from orthontk.runs.texts import plain

OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
EQUALITIES = ("=", "!=")
GROUPS = {"init.scheme": "init", "data.source": "data"}  # settings that are the name of their group's choice
CHOICE_OF = {group: key for key, group in GROUPS.items()}
ALSO = {"learning_rate": "optimizer.lr"}  # as the files of ensembles and the report's tables call a setting
CONDITION = re.compile(r"([^=<>!]+)(!=|<=|>=|=|<|>)((?![=<>!]).*)")


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys that have two values or more, or that a run lacks whose group is the same choice, as they were found.

    >>> differing([{"width": 8, "seed": 0, "kernel": 3}, {"width": 8.0, "seed": 1}])
    ['seed']
    >>> sgd = {"optimizer": "sgd", "callbacks": ""}
    >>> differing([sgd, sgd | {"optimizer.weight_decay": 0.01}])
    ['optimizer.weight_decay']
    >>> differing([sgd, {"optimizer": "adam", "optimizer.eps": 1e-8, "callbacks": ""}])
    ['optimizer']
    """
    values: dict[str, set[str]] = {}
    for one in settings:
        for key, value in one.items():
            values.setdefault(key, set()).add(repr(_sortable(value)))
    return [key for key, distinct in values.items() if len(distinct) > 1 or _is_lacked(key, settings)]


def _is_lacked(key: str, settings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run could have had it: all groups that it is in are what they are in a run that has it."""
    lacking = [one for one in settings if key not in one and "callbacks" in one]  # else only what a job was given
    if "." not in key or not lacking:
        return False
    having = {_choices(key, one) for one in settings if key in one}
    return any(_choices(key, one) in having for one in lacking)


def _choices(key: str, settings: Mapping[str, Any]) -> str:
    """What each of the groups around a key is."""
    groups = itertools.accumulate(key.split(".")[:-1], "{}.{}".format)
    return repr([settings.get(CHOICE_OF.get(group, group)) for group in groups])


def differing_settings(entries: Sequence[Entry]) -> list[str]:
    """The settings in which runs differ: what is no metric and none of what every entry has."""
    return [
        key
        for key in differing([entry.values for entry in entries])
        if "/" not in key and key not in ("status", "replicas")
    ]


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
    return _unambiguous(
        {key: GROUPS[key] if key in GROUPS and GROUPS[key] not in keys else last_word(key) for key in keys}
    )


def last_word(key: str) -> str:
    return key if key == "data.seed" else key.rsplit(".", 1)[-1]  # `seed` alone is another one


def _unambiguous(words: Mapping[str, str]) -> dict[str, str]:
    count = Counter(words.values())
    return {key: word if count[word] == 1 else key for key, word in words.items()}


def where(entries: Sequence[Entry], conditions: Sequence[str]) -> list[Entry]:
    """The runs for which every condition (`init.scheme=orthogonal`, `test/accuracy>0.5`) holds.

    Raises:
        InvalidValue: no condition, a key that no run has, no status, or an order of what is no number.
    """
    chosen = list(entries)
    for condition in conditions:
        match = CONDITION.fullmatch(condition)
        if match is None:
            raise InvalidValue("--where", condition, "KEY=VALUE, or another of " + " ".join(OPERATORS))
        name, symbol, wanted = match.groups()
        wanted = CHOICES.get(wanted, wanted)  # a class means the choice that stands for it
        key = key_of("--where", name, entries)
        _require_possible(condition, key, symbol, wanted, entries)
        chosen = [entry for entry in chosen if key in entry.values and _holds(entry.values[key], symbol, wanted)]
    return chosen


def ordered(entries: Sequence[Entry], by: str, descending: bool) -> list[Entry]:
    """Sorted by a column, numbers before texts; runs without a value come last either way."""
    key = key_of("--sort", by, entries)
    has = [entry for entry in entries if entry.values.get(key) is not None]
    has.sort(key=lambda entry: _sortable(entry.values[key]), reverse=descending)
    has.sort(key=lambda entry: _number(entry.values[key]) is None)
    return has + [entry for entry in entries if entry.values.get(key) is None]


def key_of(option: str, name: str, entries: Sequence[Entry]) -> str:
    """The column that `name` means: a whole key, or the last word of one alone, of those that differ or else of all."""
    known = {key for entry in entries for key in entry.values}
    if name in known:
        return name
    if ALSO.get(name) in known:
        return ALSO[name]
    settings = sorted(key for key in known if "/" not in key)
    meant = [
        key
        for keys in (differing_settings(entries), settings)  # what differs is meant before what all have
        for words in (headings(keys), _unambiguous({key: last_word(key) for key in keys}))
        for key, word in words.items()
        if word == name
    ]
    if not meant:
        columns = ["status", *differing_settings(entries), *measured(entries)]
        raise InvalidValue(option, name, "a setting such as model.width, or one of " + ", ".join(columns))
    return meant[0]


def _require_possible(condition: str, key: str, symbol: str, wanted: str, entries: Sequence[Entry]) -> None:
    """Refuse what can hold for no run whatever it measured."""
    if symbol in EQUALITIES:
        if key == "status" and wanted not in STATUSES:
            raise InvalidValue("--where", condition, "a status, one of " + ", ".join(STATUSES))
        return
    if _number(wanted) is None:
        raise InvalidValue("--where", condition, f"a number after {symbol}; words can be asked for by = and !=")
    values = [entry.values[key] for entry in entries if entry.values.get(key) is not None]
    if values and all(_number(value) is None for value in values):
        words = ", ".join(dict.fromkeys(map(plain, values)))
        numbers = "".join(f", {name}" for name in measured(entries))
        raise InvalidValue("--where", condition, f"= or != for {key}, which is {words}, or a key with numbers{numbers}")


def _holds(value: Any, symbol: str, wanted: str) -> bool:
    number, wanted_number = _number(value), _number(wanted)
    if number is not None and wanted_number is not None:
        return bool(OPERATORS[symbol](number, wanted_number))
    if symbol not in EQUALITIES:
        return False
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
