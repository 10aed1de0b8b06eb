"""A run's directory: where it is, whether it is finished, and what to continue from."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from orthontk.callbacks.checkpoints import latest_checkpoint
from orthontk.checks import InvalidValue
from orthontk.files import read_json

SUMMARY, CONFIG, PROVENANCE = "summary.json", "config.yaml", "provenance.json"


@dataclass(frozen=True)
class RunDirectory:
    """`path`, and the checkpoint that the run continues from, if any."""

    path: Path
    checkpoint: Path | None = None

    @property
    def is_finished(self) -> bool:
        summary = self.path / SUMMARY
        return summary.exists() and read_json(summary)["status"] == "finished"


def open_directory(path: str | Path, resume: str) -> RunDirectory:
    """The directory that a run with `resume` uses, made if it is not there. Nothing in it is overwritten.

    Args:
        path: the directory that belongs to the configuration.
        resume: `auto`, `never`, or the path of a checkpoint or of a run directory to continue from.

    Raises:
        InvalidValue: there is nothing to resume from at the path.
    """
    path = Path(path)
    if resume == "never":
        directory = RunDirectory(_free_sibling(path))
    elif resume == "auto":
        directory = RunDirectory(path, latest_checkpoint(path))
    else:
        directory = _continue_from(Path(resume), path)
    directory.path.mkdir(parents=True, exist_ok=True)
    return directory


def _continue_from(source: Path, path: Path) -> RunDirectory:
    """Continue a checkpoint of another run in `path`: what that run measured up to it comes along."""
    checkpoint = latest_checkpoint(source) if source.is_dir() else source
    if checkpoint is None or not checkpoint.is_file():
        raise InvalidValue("resume", source, "auto, never, or the path of a checkpoint or a run directory with one")
    if own := latest_checkpoint(path):  # begun from there before
        return RunDirectory(path, own)
    origin = checkpoint.parent.parent
    if not (origin / "metrics.csv").exists():
        raise InvalidValue("resume", source, "a checkpoint in its run's directory, whose measurements go on")
    path.mkdir(parents=True, exist_ok=True)
    for history in (origin / "metrics.csv", *origin.glob("*.safetensors")):
        shutil.copy2(history, path / history.name)
    return RunDirectory(path, checkpoint)


def _free_sibling(path: Path) -> Path:
    """`path` itself if nothing is there, otherwise `path`-2, `path`-3, …"""
    candidate, number = path, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate
