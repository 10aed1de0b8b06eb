"""Rich's console, for every table that a command ends with."""

from rich.console import Console

WIDE = 1000  # a log or a pipe has no edge at which a row would have to be folded


def console() -> Console:
    """As wide as the terminal; where there is none, as wide as the widest row. Brackets, as in a path, are text."""
    found = Console(markup=False)
    return found if found.is_terminal else Console(width=WIDE, markup=False)
