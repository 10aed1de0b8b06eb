"""Start recorded multiruns again; their sweeper leaves out what is done or running."""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from orthontk.checks import InvalidValue
from orthontk.overrides import quoted
from orthontk.sweep.overview import Entry, Sweep
from orthontk.sweep.record import without_launcher


def retry(sweeps: Sequence[Sweep], entries: Sequence[Entry], launcher: str | None = None) -> int:
    """Run the command of each multirun that has jobs left to do, the latest first, each job in one of them only.

    Args:
        launcher: in place of the recorded one, whose settings are dropped with it.

    Returns:
        The first exit code that is not 0, or 0.
    """
    left = {entry.directory for entry in entries if entry.is_left_to_do}
    codes = [0]
    for sweep in sweeps:
        if left & set(sweep.jobs):
            left -= set(sweep.jobs)
            codes.append(_run(sweep, launcher))
    return next((code for code in codes if code != 0), 0)


def command_of(sweep: Sweep, launcher: str | None) -> list[str]:
    """The recorded command, in the folder where the record lies now, with another launcher if one is given.

    Without `resume=never`, which would begin its finished jobs once more.

    >>> from orthontk.sweep.record import Record
    >>> command = ["/a/train.py", "-m", "seed=0,1", "resume=never", "hydra/launcher=joblib"]
    >>> record = Record(command, "/a", "/a/outputs/x", "", [])
    >>> command_of(Sweep(Path("/a/outputs/x"), record, []), "basic")[1:]
    ['/a/train.py', '-m', 'seed=0,1', 'hydra/launcher=basic']
    """
    script, *arguments = sweep.record.command
    arguments = [argument for argument in arguments if argument.lstrip("+") != "resume=never"]
    if launcher is not None:
        arguments = [*without_launcher(arguments), f"hydra/launcher={launcher}"]
    if sweep.directory.absolute() != Path(sweep.record.sweep_directory):  # it was moved
        arguments.append(f"hydra.sweep.dir={quoted(sweep.directory.absolute())}")
    return [sys.executable, script, *arguments]


def _run(sweep: Sweep, launcher: str | None) -> int:
    command, folder = command_of(sweep, launcher), Path(sweep.record.working_directory)
    if not folder.is_dir() or not Path(command[1]).is_file():
        accepted = f"a multirun whose folder {folder} and script {command[1]} are still there"
        raise InvalidValue("DIR", sweep.directory, accepted)
    print(f"in {folder}: {shlex.join(['python', *command[1:]])}", flush=True)
    return subprocess.run(command, cwd=folder).returncode
