"""A kernel on disk, written tile by tile, that an interrupted computation resumes."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from orthontk.checks import InvalidValue


class Storage:
    """A NumPy file `path` and, beside it, `path.tiles`: what is being computed and the tiles that are finished.

    Args:
        path: ends in .npy; its folder exists.
        shape, dtype: of the kernel.
        fingerprint: identifies network, inputs and tiling; a file of another computation is never overwritten.

    Raises:
        InvalidValue: the file holds something else, or cannot be written.
    """

    def __init__(self, path: str | Path, shape: tuple[int, ...], dtype: torch.dtype, fingerprint: str) -> None:
        self.path = Path(path)
        if self.path.suffix != ".npy" or not self.path.parent.is_dir():
            raise InvalidValue("out", path, "a path that ends in .npy, in a folder that exists")
        self.log = self.path.with_name(self.path.name + ".tiles")
        self.finished: set[tuple[int, int]] = set()
        numpy_dtype = torch.empty(0, dtype=dtype).numpy().dtype
        if self.path.exists():
            self._resume(fingerprint)
            self.array = np.load(self.path, mmap_mode="r+")
        else:
            self.array = np.lib.format.open_memmap(self.path, mode="w+", dtype=numpy_dtype, shape=shape)
            self.log.write_text(json.dumps(fingerprint))
        self.theta: Tensor = torch.from_numpy(self.array)

    def _resume(self, fingerprint: str) -> None:
        lines = self.log.read_text().splitlines() if self.log.exists() else [""]
        if lines[0] != json.dumps(fingerprint):
            raise InvalidValue("out", self.path, "a new file, or one of the same network, inputs and settings")
        whole = [line for line in lines[1:] if line.endswith("]")]  # a process may die in the middle of a line
        self.finished = {tuple(json.loads(line)) for line in whole}

    def finish(self, tile: tuple[int, int]) -> None:
        """Notes that a tile's numbers are on disk."""
        self.array.flush()
        with self.log.open("a") as log:
            log.write("\n" + json.dumps(tile))
