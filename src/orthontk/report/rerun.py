"""The command that makes a run again."""

import json
import shlex
from pathlib import Path
from typing import Any

from orthontk.files import read_json
from orthontk.overrides import quoted
from orthontk.report.gather import Run
from orthontk.run.directory import CONFIG, PROVENANCE
from orthontk.run.provenance import searching

CHECKOUT = Path(__file__).resolve().parents[3]  # where the command is given


def rerun_command(run: Run) -> str:
    """For the shell, in the checkout's folder. `resume=never` begins anew beside a finished run.

    A run that left no record of its command is made from its composed settings.
    """
    arguments = _recorded(run.directory)
    if arguments is None:
        folder = run.directory.resolve()
        arguments = [f"--config-path={folder}", f"--config-name={CONFIG}", f"hydra.run.dir={quoted(folder)}"]
    again = ["resume=never"] if run.finished else []
    kept = [a for a in arguments if not a.startswith("resume=")] if again else arguments
    return shlex.join(["python", "train.py", *kept, *again])


def provenance_of(directory: Path) -> dict[str, Any]:
    """What made the run: commit, packages, machine; nothing if that is not known."""
    try:
        found = read_json(directory / PROVENANCE)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _recorded(directory: Path) -> list[str] | None:
    made_by = provenance_of(directory)
    command, folders = made_by.get("command"), made_by.get("config_folders")
    if not isinstance(command, list) or not command:
        return None
    return [*searched(list(map(Path, folders or []))), *(str(argument) for argument in command[1:])]


def searched(folders: list[Path]) -> list[str]:
    """The option that finds configurations of one's own; a folder in the checkout as it is called there."""
    if len(folders) == 1:
        (folder,) = folders
        return [f"--config-dir={folder.relative_to(CHECKOUT) if folder.is_relative_to(CHECKOUT) else folder}"]
    return searching(folders)
