"""How much one operation takes on at a time: little enough for a CPU's caches, enough for a GPU not to wait for it."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Grain:
    """Sizes that change the speed and the last bits of a kernel, and nothing else.

    Attributes:
        leaf_rows: the smallest blocks that a triangle is halved into have as many rows, which are examples times
            directions; multiplied at near full matrix speed.
        tile_rows: the most rows of a tile.
        chunk_bytes: of a parameter's per-example gradients that are formed at a time, rows of it permitting.
        added_entries: of a product that are added to the sums at a time; PyTorch makes a copy of them in float64 first,
            on a CPU.
    """

    leaf_rows: int
    tile_rows: int
    chunk_bytes: int
    added_entries: int


def grain_of(device: torch.device, memory_limit: int) -> Grain:
    """A tile's products and sums, and gradients, stay in the last-level cache of a CPU; on a GPU, launching an
    operation takes as long as multiplying two matrices of a thousand rows."""
    if device.type == "cpu":
        return Grain(leaf_rows=64, tile_rows=2048, chunk_bytes=8 * 2**20, added_entries=2**19)
    return Grain(leaf_rows=1024, tile_rows=8192, chunk_bytes=max(8 * 2**20, memory_limit // 16), added_entries=2**26)
