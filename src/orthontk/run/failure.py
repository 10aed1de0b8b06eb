"""`failure.txt`: why a run ended without a result, for `sweep status` and for who wants to see where."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from orthontk.errors import describe
from orthontk.files import write_text
from orthontk.run.directory import FAILURES, LOCK, is_failure, is_unused
from orthontk.run.same_settings import is_of_other_settings


@contextmanager
def recording_failure(path: Path, config: DictConfig, process: int = 0) -> Iterator[None]:
    """Leave an error's one-line reason and its traceback in the directory; an earlier one's are removed first.

    A launch with other settings than those of the run in the directory is none of that run's failures, unless it has
    taken the run over, and written its own there, before it failed. A single run that was refused before it began
    leaves nothing but a folder that it was given by name, which may have been there before: it is a command to be
    corrected, not a run that failed.

    Args:
        process: its number in a distributed run; each has a file of its own.
    """
    file = path / FAILURES.replace("*", str(process or ""))
    if not is_of_other_settings(path, config):
        file.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        is_single = HydraConfig.get().mode == RunMode.RUN
        if isinstance(error, ValueError) and is_single and process == 0 and is_unused(path):
            _remove_traces(path)
        elif not is_of_other_settings(path, config):
            with suppress(OSError):  # a full disk must not hide the error itself
                write_text(file, f"{describe(error)}\n\n{''.join(traceback.format_exception(error))}")
        raise


def _remove_traces(path: Path) -> None:
    given = any(override.lstrip("+").startswith("hydra.run.dir=") for override in HydraConfig.get().overrides.hydra)
    with suppress(OSError):  # such as another process's file, which has come meanwhile
        for file in (path / LOCK, *filter(is_failure, path.iterdir())):
            file.unlink(missing_ok=True)
        if not given:
            path.rmdir()


def read_failure(path: Path) -> tuple[str, Path] | None:
    """The reason that a run gave for its failure, and the file that has the traceback; None if it gave none."""
    for file in sorted(filter(is_failure, path.glob(FAILURES))):
        reason, *_ = file.read_text(encoding="utf-8").splitlines() or [""]
        return reason, file
    return None
