"""Where a run's checkpoints are, known without importing torch."""

from pathlib import Path


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
    """The latest checkpoint, but for one of no update: what was measured then is measured anew, with its rows."""
    latest = latest_checkpoint(run_directory)
    return latest if latest is not None and saved_step(latest) > 0 else None
