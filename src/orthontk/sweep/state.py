"""How far the run in a directory is."""

from dataclasses import dataclass
from pathlib import Path

from orthontk.counted import counted
from orthontk.run.checkpoint_files import latest_checkpoint, saved_step
from orthontk.run.directory import CHUNK_RESULT, CHUNKS, CONFIG, is_finished
from orthontk.run.failure import read_failure
from orthontk.run.lock import holder_of

DONE, RUNNING, FAILED, INTERRUPTED, MISSING = STATES = ("done", "running", "failed", "interrupted", "missing")


@dataclass(frozen=True)
class State:
    """One of STATES, and in a few words what there is to know about it."""

    kind: str
    reason: str = ""


def state_of(path: Path) -> State:
    """The state of the run that belongs to the directory, which need not be there."""
    if is_finished(path):
        return State(DONE)
    if holder := holder_of(path):
        return State(RUNNING, f"{holder}{_progress(path, '; ')}")
    if failure := read_failure(path):
        reason, file = failure
        return State(FAILED, f"{reason} (traceback: {file})")
    if (path / CONFIG).exists() or latest_checkpoint(path):
        return State(INTERRUPTED, _progress(path) or "before its first checkpoint")
    return State(MISSING, "not started")


def _progress(path: Path, separator: str = "") -> str:
    chunks = sorted(path.glob(f"{CHUNKS}/*"))  # of an ensemble
    done = sum((chunk / CHUNK_RESULT).exists() for chunk in chunks)
    checkpoint = next(filter(None, map(latest_checkpoint, [path, *reversed(chunks)])), None)
    parts = [f"checkpoint at step {saved_step(checkpoint)}"] if checkpoint else []
    parts += [f"{counted(done, 'chunk')} of its ensemble done"] if done else []
    return separator + ", ".join(parts) if parts else ""
