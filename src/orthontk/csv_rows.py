"""The CSV files of runs: `metrics.csv`, and the tables of an ensemble's replicas. Needs neither torch nor Lightning.

A field that is empty was not measured.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orthontk.files import replacing

Row = dict[str, float]
TEXTS = ("init", "status")


class DamagedTable(ValueError):
    """A file that is no table of numbers, with its path."""


def write_rows(path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Replace the file whole; a row at a time, as there may be millions."""
    with replacing(Path(path)) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a table, each with what it holds only.

    Raises:
        DamagedTable: with the path.
    """
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                if None in row:
                    raise ValueError(f"line {reader.line_num} has more fields than there are columns")
                yield {name: _value(name, text) for name, text in row.items() if text}
        except (csv.Error, ValueError) as error:
            raise DamagedTable(f"{path}: {error}") from error


def _value(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    return int(text) if name in ("step", "steps", "seed") else float(text)


def last_values(rows: Iterable[Row]) -> Row:
    """The last step, and the last value of each metric."""
    return {name: value for row in rows for name, value in row.items()}


def read_metrics(path: str | Path) -> list[Row]:
    """The rows of a `metrics.csv`, each with the metrics measured at its step only."""
    return list(read_rows(path))
