"""A CSV file that grows while a run goes on."""

import csv
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orthontk.files import write_text


class GrowingTable:
    """Rows that are added, and added to, between writes of the file, which replace it whole.

    A line is formatted again only where its row has changed: a long run with frequent checkpoints would otherwise spend
    a time on its table that grows with the square of its steps.

    Args:
        path: of the file.
        first: the columns that come first; the others follow in alphabetical order.

    Attributes:
        rows: by keys whose order is that of the lines.
    """

    def __init__(self, path: Path, first: Sequence[str]) -> None:
        self.path, self.first = path, list(first)
        self.rows: dict[Any, dict[str, Any]] = {}
        self.names = set(first)
        self.keys: list[Any] = []  # of all rows, in order as of the last write
        self.changed: set[Any] = set()  # keys of rows since the last write
        self.lines: dict[Any, str] = {}

    def add(self, key: Hashable, values: Mapping[str, Any]) -> None:
        """Merge `values`, by column, into a row, which is new if there is none with that key."""
        if key not in self.rows:
            self.rows[key] = {}
            self.keys.append(key)
        self.rows[key].update(values)
        self.changed.add(key)
        if not self.names >= values.keys():
            self.names |= values.keys()
            self.changed.update(self.rows)  # whose lines have one field more

    def write(self) -> None:
        columns = [*self.first, *sorted(self.names - {*self.first})]
        writer = csv.DictWriter(SimpleNamespace(write=str), columns, lineterminator="\n")  # a row's line is returned
        for key in self.changed:
            self.lines[key] = writer.writerow(self.rows[key])
        self.changed.clear()
        self.keys.sort()
        write_text(self.path, writer.writeheader() + "".join(map(self.lines.__getitem__, self.keys)))
