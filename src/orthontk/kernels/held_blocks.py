"""Blocks of examples that are kept from tile to tile."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from orthontk.kernels.grid import Grid

T = TypeVar("T")


class HeldBlocks(Generic[T]):
    """What is made of blocks of examples, the least recently used one dropped when there is no room.

    Args:
        make: of a block, and whether it is one of x₂ ≠ x₁.
    """

    def __init__(self, grid: Grid, make: Callable[[bool, slice], T]) -> None:
        self.grid, self.make = grid, make
        self.held: OrderedDict[tuple[bool, int], T] = OrderedDict()

    def of_tile(self, i: int, j: int) -> tuple[T, T]:
        return self._get(False, i), self._get(not self.grid.same, j)

    def _get(self, second: bool, index: int) -> T:
        key = second, index
        if key not in self.held:
            while len(self.held) >= self.grid.held:
                self.held.popitem(last=False)
            blocks = self.grid.blocks2 if second else self.grid.blocks1
            self.held[key] = self.make(second, blocks[index])
        self.held.move_to_end(key)
        return self.held[key]


def examples_in_passes(grid: Grid) -> int:
    """How many examples pass through the network for all tiles, each as often as it does, by one process."""
    passed: list[int] = []
    blocks = HeldBlocks(grid, lambda second, block: passed.append(block.stop - block.start))
    for i, j in grid.tiles():
        blocks.of_tile(i, j)
    return sum(passed)
