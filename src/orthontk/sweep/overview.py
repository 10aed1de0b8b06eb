"""All jobs under a folder: those that its multiruns recorded, and those that have a directory only."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orthontk.checks import InvalidValue
from orthontk.counted import counted
from orthontk.run.directory import is_run_directory
from orthontk.sweep.record import FOLDER, Record, read_records
from orthontk.sweep.state import DONE, RUNNING, STATES, State, state_of


@dataclass(frozen=True)
class Entry:
    """A job: its directory, how far it is, and whether a multirun's record knows it."""

    directory: Path
    state: State
    recorded: bool

    @property
    def is_left_to_do(self) -> bool:
        return self.state.kind not in (DONE, RUNNING)


@dataclass(frozen=True)
class Sweep:
    """A multirun's record and its jobs' directories, which are where the record lies now."""

    directory: Path
    record: Record
    jobs: Sequence[Path]


def sweeps_under(root: Path) -> list[Sweep]:
    """The multiruns recorded under `root`, the latest first in each folder.

    Raises:
        InvalidValue: there is no such folder.
    """
    if not root.is_dir():
        raise InvalidValue("DIR", root, "a folder of runs, such as outputs/default")
    sweeps = []
    for folder, names, _ in _walk(root):
        if FOLDER in names:
            for record in read_records(folder):
                jobs = [Path(os.path.normpath(folder / job.directory)) for job in record.jobs]
                sweeps.append(Sweep(folder, record, jobs))
    return sweeps


def entries_under(root: Path, sweeps: Sequence[Sweep]) -> list[Entry]:
    """Every job once, those of one state together."""
    recorded = dict.fromkeys(job for sweep in sweeps for job in sweep.jobs)
    others = [folder for folder, _, is_run in _walk(root) if is_run and folder not in recorded]
    entries = [Entry(path, state_of(path), path in recorded) for path in [*recorded, *others]]
    return sorted(entries, key=lambda entry: STATES.index(entry.state.kind))


def describe_entries(root: Path, entries: Sequence[Entry]) -> str:
    """A line with the numbers, and one for each job."""
    counts = Counter(entry.state.kind for entry in entries)
    numbers = ", ".join(f"{counts[kind]} {kind}" for kind in STATES if counts[kind])
    lines = [f"{counted(len(entries), 'job')} in {root}: {numbers}" if entries else f"no jobs in {root}"]
    for entry in entries:
        name = os.path.relpath(entry.directory, root)
        lines.append(f"  {entry.state.kind:<11}  {name}  {entry.state.reason}".rstrip())
    return "\n".join(lines)


def _walk(root: Path) -> Iterator[tuple[Path, list[str], bool]]:
    """Each folder, the names of the folders in it, and whether it is a run's, which nothing below is."""
    for folder, names, _ in os.walk(root):
        is_run = is_run_directory(Path(folder))
        yield Path(folder), list(names), is_run
        names[:] = [] if is_run else sorted(name for name in names if not name.startswith("."))
