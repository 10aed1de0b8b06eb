"""Where a run's checkpoints are, known without importing torch."""

import zipfile
from pathlib import Path

from orthontk.checks import InvalidValue


def checkpoint_path(run_directory: str | Path, step: int) -> Path:
    return Path(run_directory) / "checkpoints" / f"step-{step:08d}.ckpt"


def saved_step(checkpoint: Path) -> int:
    """The number of updates made before a checkpoint of this project was written.

    >>> saved_step(Path("checkpoints/step-00000120.ckpt"))
    120
    """
    return int(checkpoint.stem.rpartition("-")[2])


def latest_checkpoint(run_directory: str | Path) -> Path | None:
    """The checkpoint with the most steps, or None."""
    return max(Path(run_directory, "checkpoints").glob("step-*.ckpt"), default=None)


def checkpoint_to_resume(run_directory: str | Path) -> Path | None:
    """The latest whole checkpoint, but for one of no update: what was measured then is measured anew, with its rows."""
    found = latest_whole_checkpoint(run_directory)
    return found if found is not None and saved_step(found) > 0 else None


def latest_whole_checkpoint(run_directory: str | Path) -> Path | None:
    """The checkpoint with the most steps that can be read, or None if there are none; says which are passed over.

    Raises:
        InvalidValue: there are some, and none of them is whole.
    """
    checkpoints, whole = _newest_first(run_directory), whole_checkpoint(run_directory)
    if whole is None and checkpoints:
        accepted = "a readable checkpoint file, which none of the run's is (resume=never starts anew beside it)"
        raise InvalidValue("resume", checkpoints[0], accepted)
    if whole is not None and whole != checkpoints[0]:
        print(f"warning: {checkpoints[0]} cannot be read; continuing from the one before it that can, {whole}")
    return whole


def whole_checkpoint(run_directory: str | Path) -> Path | None:
    """The checkpoint with the most steps that can be read, or None."""
    return next(filter(_is_whole, _newest_first(run_directory)), None)


def evaluated_checkpoint(path: str | Path) -> Path:
    """The file that `ckpt_path` names, or the newest whole checkpoint of a run directory; says if that is not the last.

    Raises:
        InvalidValue: a directory without one.
    """
    if not Path(path).is_dir():
        return Path(path)
    whole = whole_checkpoint(path)
    if whole is None:
        accepted = "the path of a checkpoint, or of a single run's directory with a readable one"
        raise InvalidValue("ckpt_path", path, accepted)
    newest, *_ = _newest_first(path)
    if whole != newest:
        print(f"warning: {newest} cannot be read; evaluating the one before it that can, {whole}")
    return whole


def _newest_first(run_directory: str | Path) -> list[Path]:
    return sorted(Path(run_directory, "checkpoints").glob("step-*.ckpt"), reverse=True)


def _is_whole(checkpoint: Path) -> bool:
    """Whether a file has all that torch wrote: a ZIP archive, whose parts have checksums."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError):  # whatever a broken header says
        return False
