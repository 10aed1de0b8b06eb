"""Files that are either whole or not there."""

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

PARTIAL = ".partial"  # at the end of the name of a file that is being written


def remove_partials(folder: Path) -> None:
    """What killed writers have left in a folder, at any depth, that nobody else is writing to."""
    for partial in folder.rglob(f".*{PARTIAL}"):
        partial.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write beside `path`, which it takes the place of; if that fails, it is removed.

    Raises:
        OSError: with `path`, where the system names this file or none, as on a full disk.
    """
    # A name of its own: of two writers at once the last one wins, and neither publishes or misses the other's.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PARTIAL}")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            error.filename = str(path)
        raise


def write_text(path: str | Path, text: str) -> None:
    """Replace `path` by `text` in one step, so that a reader or a killed writer never leaves half of it."""
    with replacing(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")


def finite_or_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """With None for each infinity and NaN, which JSON does not have.

    >>> finite_or_none({"estimate": 1.0, "low": -math.inf, "init": "gaussian"})
    {'estimate': 1.0, 'low': None, 'init': 'gaussian'}
    """
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def read_json(path: str | Path) -> Any:
    """The value in a file. Raises FileNotFoundError, or JSONDecodeError with the path of one that holds no JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise json.JSONDecodeError(f"{path}: {error.msg}", error.doc, error.pos) from error
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError(f"{path}: not a text", "", 0) from error


def modified(path: Path) -> float:
    """When a file was last changed, in seconds since the epoch; 0 of one that is not there, or just being replaced."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def sha256_of(path: str | Path) -> str:
    """The digest of a file's content, read again only once the file has changed. Raises OSError if it is not there."""
    path = Path(path).absolute()
    status = path.stat()
    return _digest(path, status.st_mtime_ns, status.st_size)


@lru_cache
def _digest(path: Path, changed: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
