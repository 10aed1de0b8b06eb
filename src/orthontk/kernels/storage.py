"""A kernel on disk, written tile by tile, that an interrupted computation resumes."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.kernels.fingerprint import Identity

TILE = re.compile(r"\[(\d+), (\d+)\]")  # a line of the log


class Storage:
    """A NumPy file `path` and, beside it, `path.tiles`: what is being computed and the tiles that are finished.

    Args:
        path: ends in .npy; its folder exists.
        shape, dtype: of the kernel.
        identity: of network, inputs and tiling; a file of another computation is never overwritten.

    Raises:
        InvalidValue: the file holds something else, or cannot be written.
    """

    def __init__(self, path: str | Path, shape: tuple[int, ...], dtype: torch.dtype, identity: Identity) -> None:
        self.path = Path(path)
        if self.path.suffix != ".npy" or not self.path.parent.is_dir():
            raise InvalidValue("out", path, "a path that ends in .npy, in a folder that exists")
        self.log = self.path.with_name(self.path.name + ".tiles")
        self.finished: set[tuple[int, int]] = set()
        numpy_dtype = torch.empty(0, dtype=dtype, device="cpu").numpy().dtype
        try:
            if self.path.exists():
                self._resume(identity, math.prod(shape) * dtype.itemsize)
                self.array = np.load(self.path, mmap_mode="r+")
                if (self.array.dtype, self.array.shape) != (numpy_dtype, shape):
                    raise _another(self.path, "shape or type")
            else:
                self.log.write_text(identity.line)
                self.array = np.lib.format.open_memmap(self.path, mode="w+", dtype=numpy_dtype, shape=shape)
        except OSError as error:
            raise InvalidValue("out", self.path, f"a file that can be written ({error.strerror or error})") from error
        self.theta: Tensor = torch.from_numpy(self.array)

    def _resume(self, identity: Identity, size: int) -> None:
        line, *_ = (self.log.read_text() if self.log.exists() else "").partition("\n")
        different = identity.difference(line)
        if different or self._bytes_of_numbers() != size:
            raise _another(self.path, different or "size")
        self.finished = self._logged()

    def _logged(self) -> set[tuple[int, int]]:
        matches = (TILE.fullmatch(line) for line in self.log.read_text().splitlines()[1:])
        return {(int(match[1]), int(match[2])) for match in matches if match}  # a process may die within a line

    def has(self, tiles: Iterable[tuple[int, int]]) -> bool:
        """Whether the file holds all these tiles, whoever computed them."""
        return self._logged() >= set(tiles)

    def _bytes_of_numbers(self) -> int:
        """What follows the header: too little in a file that was cut off, which NumPy would fill up with zeros."""
        try:
            with self.path.open("rb") as file:
                np.lib.format.read_magic(file)
                np.lib.format.read_array_header_1_0(file)
                return self.path.stat().st_size - file.tell()
        except ValueError:  # cut off within the header
            return 0

    def result(self) -> Tensor:
        """The kernel as the file has it; what is written to this tensor stays in memory."""
        return torch.from_numpy(np.load(self.path, mmap_mode="c"))

    def finish(self, tile: tuple[int, int]) -> None:
        """Notes that a tile's numbers are on disk."""
        self.array.flush()
        with self.log.open("a") as log:
            log.write("\n" + json.dumps(tile))


def _another(path: Path, different: str) -> InvalidValue:
    accepted = "a new file, or one of the same network, inputs, settings and number of processes"
    return InvalidValue("out", path, f"{accepted}; it differs in {different}")
