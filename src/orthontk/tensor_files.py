"""Tensors and plain settings in one safetensors file, which is either whole or not there."""

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from orthontk.files import replacing


class DamagedFile(SafetensorError):
    """safetensors' own error, with the file's path."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], settings: Mapping[str, Any] | None = None) -> None:
    """Replace `path` in one step. Raises OSError with the path, such as of a full disk."""
    metadata = {"settings": json.dumps(settings or {}, sort_keys=True)}
    with replacing(path) as partial:
        try:
            save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, partial, metadata)
        except SafetensorError as error:  # which says what the system said
            raise OSError(errno.EIO, str(error), str(path)) from error


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the settings of a file. Raises FileNotFoundError, or DamagedFile."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            settings = (file.metadata() or {}).get("settings")
    except SafetensorError as error:
        raise DamagedFile(f"{path}: expected a whole safetensors file; {error}") from error
    if settings is None:
        raise DamagedFile(f"{path}: expected a file that a run wrote, with settings")
    return tensors, json.loads(settings)
