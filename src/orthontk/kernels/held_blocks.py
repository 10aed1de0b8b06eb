"""Blocks of examples that are kept from tile to tile."""

import math
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

from orthontk.kernels.grid import Grid

T = TypeVar("T")
Key = tuple[bool, int]  # whether it is one of x₂ ≠ x₁, and which


class HeldBlocks(Generic[T]):
    """What is made of blocks of examples; where there is no room, the one that is needed last is dropped (Belady 1966).

    Args:
        tiles: in the order in which they will be asked for.
        make: of a block, and whether it is one of x₂ ≠ x₁.
    """

    def __init__(self, grid: Grid, tiles: list[tuple[int, int]], make: Callable[[bool, slice], T]) -> None:
        self.grid, self.make = grid, make
        self.held: dict[Key, T] = {}
        self.uses: dict[Key, deque[int]] = defaultdict(deque)  # the tiles that need a block, from now on
        for number, tile in enumerate(tiles):
            for key in set(self._keys(*tile)):
                self.uses[key].append(number)

    def of_tile(self, i: int, j: int) -> tuple[T, T]:
        keys = self._keys(i, j)
        row, column = map(self._get, keys)
        for key in set(keys):
            self.uses[key].popleft()
        return row, column

    def _keys(self, i: int, j: int) -> tuple[Key, Key]:
        return (False, i), (not self.grid.same, j)

    def _get(self, key: Key) -> T:
        if key not in self.held:
            if len(self.held) == self.grid.held:
                del self.held[max(self.held, key=lambda held: next(iter(self.uses[held]), math.inf))]
            second, index = key
            self.held[key] = self.make(second, (self.grid.blocks2 if second else self.grid.blocks1)[index])
        return self.held[key]


def examples_in_passes(grid: Grid) -> int:
    """How many examples pass through the network for all tiles, each as often as it does, by one process."""
    passed: list[int] = []
    tiles = list(grid.tiles())
    blocks = HeldBlocks(grid, tiles, lambda second, block: passed.append(block.stop - block.start))
    for i, j in tiles:
        blocks.of_tile(i, j)
    return sum(passed)
