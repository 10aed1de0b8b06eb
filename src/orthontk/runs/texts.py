"""Values as they are shown: settings in full, so that they can be given back, and measurements to four digits."""

from typing import Any

# The metrics that tables of several runs show where any of them has one, and what they are called there.
RESULTS = {
    "train/tau": "train τ",
    "test/tau": "test τ",
    "train/loss": "train loss",
    "test/accuracy": "test accuracy",
    "ntk/change": "NTK change",
    "time/total": "seconds",
}


def plain(value: Any) -> str:
    """In full, as the command line gives it.

    >>> plain(None), plain(True), plain(0.0316228), plain(2.0), plain("1_000"), plain([0, 1])
    ('null', 'true', '0.0316228', '2', '1_000', '[0,1]')
    """
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return f"[{','.join(map(plain, value))}]" if isinstance(value, list) else str(value)


def named(value: Any) -> str:
    """A name; of a `_target_` its last word, with the arguments that it is given.

    >>> named({"_target_": "mine.spectrum.spectrum", "_partial_": True, "spread": 0.3})
    'spectrum(spread=0.3)'
    """
    arguments = {}
    if isinstance(value, dict):
        arguments = {name: argument for name, argument in value.items() if not name.startswith("_")}
        value = value.get("_target_", "")
    word = str(value).rpartition(".")[2]
    given = ", ".join(f"{name}={argument}" for name, argument in arguments.items())
    return f"{word}({given})" if given else word


def number(value: Any) -> str:
    """Four digits of a number, nothing for None, and any other value in full.

    >>> number(0.123456), number(None), number(True), number("tanh"), number(100000)
    ('0.1235', '', 'true', 'tanh', '100000')
    """
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else plain(value)


def tau(value: float | None, censored: float | None, *, several: bool) -> str:
    """A τ or a mean of `several`; one that never came; and of several how many did not. Nothing if none was looked for.

    >>> tau(9.0, 2, several=True), tau(None, 3, several=True), tau(None, 1, several=False), tau(7.0, 0, several=False)
    ('9 +2', 'never +3', 'never', '7')
    """
    if not censored:
        return number(value)
    return ("never" if value is None else number(value)) + (f" +{int(censored)}" if several else "")
