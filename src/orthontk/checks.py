"""One way to refuse a value: name the argument, show what was given, say what is accepted."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

SEEDS_END = 2**63  # torch's generators take less


class InvalidValue(ValueError):
    """An argument outside what is accepted.

    Args:
        name: the argument; the command line prefixes it with its config group (`width` becomes `model.width`).
        value: what was given.
        accepted: what would have been accepted, as a noun phrase.
    """

    def __init__(self, name: str, value: Any, accepted: str):
        super().__init__(f"{name}={value}: expected {accepted}")
        self.name, self.value, self.accepted = name, value, accepted

    def __reduce__(self):  # so that it survives the trip back from a worker process
        return type(self), (self.name, self.value, self.accepted)

    def within(self, group: str) -> "InvalidValue":
        """The same refusal with the argument's name under `group`."""
        return type(self)(f"{group}.{self.name}", self.value, self.accepted)


def integer(name: str, value: Any, minimum: int = 1) -> int:
    """`value` as an int, if it is an integer (NumPy's too) of at least `minimum`; otherwise InvalidValue.

    >>> integer("width", 64)
    64
    >>> integer("width", 0)
    Traceback (most recent call last):
    orthontk.checks.InvalidValue: width=0: expected an integer of at least 1
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise InvalidValue(name, value, f"an integer of at least {minimum}")
    return int(value)


def check_seed(name: str, value: Any) -> int:
    """`value` as an int, if it is an integer from 0 to 2^63 − 1; otherwise InvalidValue."""
    if (seed := integer(name, value, minimum=0)) >= SEEDS_END:
        raise InvalidValue(name, value, "an integer below 2^63")
    return seed


def number(
    name: str, value: Any, *, above: float | None = None, minimum: float | None = None, below: float | None = None
) -> float:
    """`value` as a float, if it is finite, greater than `above`, at least `minimum`, less than `below`.

    Raises:
        InvalidValue: it is not.

    >>> number("lr", 1, above=0)
    1.0
    """
    bounds = "" if above is None else f" above {above:g}"
    bounds += "" if minimum is None else f" of at least {minimum:g}"
    bounds += "" if below is None else f"{' and' * bool(bounds)} below {below:g}"
    is_within = _is_finite(value) and (above is None or value > above) and (minimum is None or value >= minimum)
    if not is_within or (below is not None and value >= below):
        raise InvalidValue(name, value, f"a finite number{bounds}")
    return float(value)


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def boolean(name: str, value: Any) -> bool:
    """`value`, if it is True or False; otherwise InvalidValue."""
    if not isinstance(value, bool):
        raise InvalidValue(name, value, "true or false")
    return value


def one_of(name: str, value: Any, accepted: Iterable[str]) -> Any:
    """`value`, if it is one of `accepted`; otherwise InvalidValue."""
    accepted = list(accepted)
    if value not in accepted:
        raise InvalidValue(name, value, "one of " + ", ".join(accepted))
    return value
