"""A run's directory: where it is, whether it is finished, and what to continue from."""

import itertools
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orthontk.checks import InvalidValue
from orthontk.files import read_json
from orthontk.run.checkpoint_files import checkpoint_path, checkpoint_to_resume, latest_whole_checkpoint

SUMMARY, CONFIG, PROVENANCE = "summary.json", "config.yaml", "provenance.json"
METRICS, LOCK, FAILURES = "metrics.csv", ".lock", "failure*.txt"
REPLICAS, CHUNKS, CHUNK_RESULT = "replicas.csv", "chunks", "replicas.json"  # of ensembles
KERNELS = "ntk.safetensors"
KERNEL_DRAWS, NTK_DRAWS = "kernel_draws.safetensors", "ntk_draws.safetensors"  # of studies of initialization
RECOMPUTED = "ntk-recomputed.safetensors"  # by `python -m orthontk.ntk` from a run's own checkpoints
KERNEL_REGRESSION, JACOBIAN = "kernel_regression.json", "jacobian.safetensors"


@dataclass(frozen=True)
class RunDirectory:
    """`path`, and the checkpoint that the run continues from, if any.

    Attributes:
        origin: the directory of another run that this one begins from, whose measurements go on here.
    """

    path: Path
    checkpoint: Path | None = None
    origin: Path | None = None


def is_finished(path: Path) -> bool:
    """Whether the run in the directory has come to its end."""
    try:
        return read_json(path / SUMMARY)["status"] == "finished"
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, KeyError, TypeError):
        return False


def is_run_directory(path: Path) -> bool:
    """Whether a run was ever begun in the directory."""
    return any((path / name).exists() for name in (LOCK, CONFIG, SUMMARY))


def open_directory(path: Path, resume: str) -> RunDirectory:
    """What a run with `resume` begins from in its directory `path`, which only this process uses.

    Args:
        resume: `auto`, `never`, or the path of a checkpoint or of a run directory to continue from.

    Raises:
        InvalidValue: there is nothing to resume from at the path.
    """
    if resume in ("auto", "never"):  # with `never` it is an unused one, or what a requeued job left
        return RunDirectory(path, checkpoint_to_resume(path))
    return _continue_from(Path(resume), path)


def siblings(path: Path) -> Iterator[Path]:
    """`path` itself, `path`-2, `path`-3, …"""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


def existing_siblings(path: Path) -> list[Path]:
    """Those of them that are there."""
    return list(itertools.takewhile(Path.exists, siblings(path)))


def latest_sibling(path: Path) -> Path:
    """The last of those that are there: what `resume=never` began latest."""
    return [path, *existing_siblings(path)][-1]


def is_unused(path: Path) -> bool:
    """Whether nothing is there, but for the trace of a run that was refused."""
    return not path.exists() or all(child.name == LOCK or is_failure(child) for child in path.iterdir())


def is_failure(file: Path) -> bool:
    """Whether a file is one of a run's own `failure.txt`, `failure1.txt`, …: users have other names of that kind."""
    return re.fullmatch(r"failure\d*\.txt", file.name) is not None


def copy_history(directory: RunDirectory) -> None:
    """Let what another run measured up to the checkpoint, if it is another's, be this one's too."""
    if directory.origin is None:
        return
    for history in (directory.origin / METRICS, *directory.origin.glob("*.safetensors")):
        if history.name != RECOMPUTED:
            shutil.copy2(history, directory.path / history.name)


def lost_history(path: Path, step: int) -> InvalidValue:
    """The refusal to continue a run whose file `path` no longer has what was measured up to `step`."""
    accepted = f"{path} with what was measured up to step {step}, which is gone (resume=never starts anew)"
    return InvalidValue("resume", path.parent, accepted)


def _continue_from(source: Path, path: Path) -> RunDirectory:
    """Continue a checkpoint of another run in `path`."""
    checkpoint = latest_whole_checkpoint(source) if source.is_dir() else source
    if checkpoint is None or not checkpoint.is_file():
        accepted = "auto, never, or the path of a checkpoint or of a single run's directory with one"
        raise InvalidValue("resume", source, accepted)
    if checkpoint.name == checkpoint_path(source, 0).name:
        raise InvalidValue("resume", source, "a run that has made an update, as every run begins where none was made")
    if own := latest_whole_checkpoint(path):  # begun from there before
        return RunDirectory(path, own)
    origin = checkpoint.parent.parent
    if not (origin / METRICS).exists():
        raise InvalidValue("resume", source, "a checkpoint in its run's directory, whose measurements go on")
    return RunDirectory(path, checkpoint, origin)
