"""Runs as a table in the terminal, or as CSV."""

import csv
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from orthontk.counted import counted
from orthontk.runs.collect import DIVERGED, FINISHED, UNREADABLE, Entry
from orthontk.runs.select import differing_settings, headings, measured
from orthontk.runs.texts import RESULTS, number, plain, tau
from orthontk.sweep.state import FAILED, INTERRUPTED, MISSING, RUNNING
from orthontk.terminal import console as open_console

STYLES = {
    FINISHED: "",
    RUNNING: "",
    DIVERGED: "red",
    INTERRUPTED: "yellow",
    FAILED: "red",
    MISSING: "yellow",
    UNREADABLE: "red",
}
EXPLAINED = (FAILED, MISSING, UNREADABLE)  # whose reasons are too long for a column, and stand below the table
TELLING = ("init.scheme", "optimizer.lr", "model.width", "model.depth", "model")  # shown as long as there is room
HASH = re.compile(r"[0-9a-f]{8}(-\d+)?$")  # at the end of a run directory's name


def show(entries: Sequence[Entry], root: Path, extra: Sequence[str] = ()) -> None:
    """Print a row for each run: what tells it from the others, how it ended, what it measured."""
    console = open_console()
    settings = [key for key in differing_settings(entries) if key not in extra]
    metrics = [name for name in RESULTS if name not in extra and any(name in entry.values for entry in entries)]
    columns = _distinct([*settings, *_replicas(entries), *extra, *metrics])
    names = _names(entries)
    hidden = _without_room(console, entries, names, columns, settings) if console.is_terminal else []
    columns = [key for key in columns if key not in hidden]
    table = Table()
    for title in ("run", "status"):
        table.add_column(title, no_wrap=True)
    for key, title in headings(columns).items():
        table.add_column(
            title.replace("/", "\n"), justify="right" if _is_numeric(entries, key) else "left", no_wrap=True
        )
    for entry in entries:
        cells = [names[entry.directory], _status(entry), *(_cell(entry, key) for key in columns)]
        table.add_row(*cells, style=STYLES[entry.status])
    console.print(table)
    for entry in entries:
        if entry.status in EXPLAINED:
            print(f"{entry.status} {names[entry.directory]}: {entry.note}")
    print(_counted(entries))
    if hidden:
        print(f"Too narrow for {', '.join(hidden)}; --csv has every column.")
    if any(name != directory.name for directory, name in names.items()):
        print(f"The folder of a run: {_folder_pattern(entries, root)}")


def write_csv(entries: Sequence[Entry], extra: Sequence[str] = ()) -> None:
    """Print comma-separated values: every setting that differs and every metric, in full."""
    columns = _distinct([*differing_settings(entries), *extra, *_replicas(entries), *measured(entries)])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["directory", "status", *columns])
    for entry in entries:
        writer.writerow([entry.directory, entry.status, *(entry.values.get(key) for key in columns)])


def _replicas(entries: Sequence[Entry]) -> list[str]:
    return ["replicas"] if any("replicas" in entry.values for entry in entries) else []


def _distinct(columns: Sequence[str]) -> list[str]:
    """Each once, however often it is asked for; `status` has a place of its own."""
    return [key for key in dict.fromkeys(columns) if key != "status"]


def _names(entries: Sequence[Entry]) -> dict[Path, str]:
    """By directory, what is unique in its name: the hash of the settings, unless other names end as it does."""
    names = {entry.directory.name for entry in entries}
    short = {name: match.group() for name in names if (match := HASH.search(name))}
    count = Counter(short.values())
    own = {name: short[name] if name in short and count[short[name]] == 1 else name for name in names}
    return {entry.directory: own[entry.directory.name] for entry in entries}


def _folder_pattern(entries: Sequence[Entry], root: Path) -> str:
    parents = {entry.directory.parent for entry in entries}
    return f"{parents.pop() if len(parents) == 1 else root / '**'}/*-RUN"


def _status(entry: Entry) -> str:
    short = entry.note and entry.status not in EXPLAINED
    return f"{entry.status}, {entry.note}" if short else entry.status


def _cell(entry: Entry, key: str) -> str:
    if key.endswith("/tau"):
        censored = entry.values.get(f"{key.removesuffix('tau')}censored")
        return tau(entry.values.get(key), censored, several="replicas" in entry.values)
    if key not in entry.values:
        return ""
    if key == "optimizer.lr" and entry.values.get("optimizer.lr_fraction") is not None:
        return number(entry.values[key])  # which was found, and is not given back
    if "/" not in key:
        return plain(entry.values[key])
    return "not finite" if entry.values[key] is None else number(entry.values[key])


def _is_numeric(entries: Sequence[Entry], key: str) -> bool:
    values = [entry.values[key] for entry in entries if entry.values.get(key) is not None]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _without_room(
    console: Console,
    entries: Sequence[Entry],
    names: Mapping[Path, str],
    columns: Sequence[str],
    settings: Sequence[str],
) -> list[str]:
    """Columns that the terminal has no room for, the least telling first."""
    widths = {}
    for key, title in headings(columns).items():
        texts = [*title.split("/"), *(_cell(entry, key) for entry in entries)]
        widths[key] = max(map(len, texts))
    fixed = [max([6, *map(len, texts)]) for texts in (names.values(), map(_status, entries))]
    room = console.width - sum(fixed) - sum(widths.values()) - 3 * (len(columns) + 2) - 1
    hidden: list[str] = []
    others = [key for key in reversed(settings) if key not in TELLING]
    for key in ("time/total", "train/loss", *others, "test/tau", "replicas", *reversed(TELLING)):
        if room < 0 and key in widths:
            hidden.append(key)
            room += widths[key] + 3
    return hidden


def _counted(entries: Sequence[Entry]) -> str:
    # An ensemble has an entry for each kind of replica, and is finished if any of these is.
    runs = {entry.directory: entry.status for entry in sorted(entries, key=lambda entry: entry.status == FINISHED)}
    counts = Counter(runs.values())
    each = ", ".join(f"{counts[status]} {status}" for status in STYLES if counts[status])
    return f"{counted(len(runs), 'run')}: {each}" if runs else "No such run."
