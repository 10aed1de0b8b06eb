"""The record of each multirun: which jobs it has and how it was started, one file for each different command.

Records are replaced whole and have names of their own, so launches that race do not disturb one another.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from orthontk.files import read_json, write_json
from orthontk.flags import flags_and_settings

FOLDER = ".sweeps"
LAUNCHER_KEYS = tuple(sign + key for sign in ("", "+", "++") for key in ("hydra/launcher=", "hydra.launcher."))


@dataclass(frozen=True)
class Job:
    """One job of a multirun.

    Args:
        directory: its path relative to the multirun's.
        again: whether a run that is there is left alone, and a new one begun beside it.
    """

    overrides: list[str]
    directory: str
    again: bool = False


@dataclass(frozen=True)
class Record:
    """One multirun.

    Args:
        command: the script and its arguments.
        working_directory: where it was started.
        sweep_directory: its absolute path then.
        launched: when it was last started, UTC.
    """

    command: list[str]
    working_directory: str
    sweep_directory: str
    launched: str
    jobs: list[Job]


def write_record(sweep_directory: Path, command: Sequence[str], jobs: Sequence[Job]) -> None:
    """Write or renew the record of a multirun; the launcher does not make it another one."""
    folder = sweep_directory / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    flags, settings = flags_and_settings(command[1:])
    script, arguments = str(Path(command[0]).absolute()), [*flags, *settings]  # to which settings can be added
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    record = Record([script, *arguments], os.getcwd(), str(sweep_directory.absolute()), now, list(jobs))
    what = json.dumps([script, os.getcwd(), without_launcher(arguments)])
    write_json(folder / f"{hashlib.sha256(what.encode()).hexdigest()[:12]}.json", asdict(record))


def read_records(sweep_directory: Path) -> list[Record]:
    """The records of all multiruns into the directory, the latest first; a damaged one is named and passed over."""
    records = []
    for path in sorted(sweep_directory.glob(f"{FOLDER}/*.json")):
        try:
            content = read_json(path)
            records.append(Record(**{**content, "jobs": [Job(**job) for job in content["jobs"]]}))
        except (ValueError, TypeError, KeyError):
            says = "cannot be read; its jobs count only where they were begun"
            print(f"warning: {path} {says}", file=sys.stderr)
    return sorted(records, key=lambda record: record.launched, reverse=True)


def without_launcher(arguments: Sequence[str]) -> list[str]:
    """A command's arguments less those that choose or set up a launcher.

    >>> without_launcher(["-m", "seed=0,1", "++hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    ['-m', 'seed=0,1']
    """
    return [argument for argument in arguments if not argument.startswith(LAUNCHER_KEYS)]
