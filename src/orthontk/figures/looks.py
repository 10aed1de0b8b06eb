"""How curves of several initializations are told apart."""

from collections.abc import Iterator
from itertools import cycle

from orthontk.figures.panels import Line
from orthontk.figures.style import AMBER, BLUE, GREEN, ORANGE, PURPLE, SKY

COLOURS: tuple[str, ...] = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)
LINES: tuple[Line, ...] = ("-", ":", "-.")


def looks() -> Iterator[tuple[str, Line]]:
    """Of one initialization after another: colours, again with other lines where there are many."""
    for line in cycle(LINES):
        for colour in COLOURS:
            yield colour, line
