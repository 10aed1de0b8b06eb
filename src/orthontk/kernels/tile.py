"""The sums of one tile of the kernel, kept in float64."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 256  # of a product; large enough for full matrix speed, small enough that the triangle saves almost half
COLUMNS = 8192  # products over more entries of a parameter than this are summed in float64


Part = tuple[slice, slice]  # of (directions, examples)
Rectangle = tuple[Part, Part]  # rows and columns


@dataclass
class Block:
    """A rectangle of the tile: `rows` and `columns` are slices of (directions, examples)."""

    rows: Part
    columns: Part
    total: Tensor  # (A₁, N₁, A₂, N₂) of the rectangle


def triangle(directions: int, examples: int, size: int) -> Iterator[Rectangle]:
    """Rectangles that cover the upper triangle of a matrix with rows (direction, example), in blocks of `size` rows."""
    every = slice(0, examples)
    if size >= examples:
        step = size // examples
        for a in range(0, directions, step):
            yield (slice(a, min(a + step, directions)), every), (slice(a, directions), every)
        return
    for a in range(directions):
        for start in range(0, examples, size):
            rows = slice(a, a + 1), slice(start, min(start + size, examples))
            yield rows, (slice(a, a + 1), slice(start, examples))
            if a + 1 < directions:
                yield rows, (slice(a + 1, directions), every)


class Tile:
    """Accumulates Σ_θ of inner products of gradients, (A, N₁, A, N₂), or (N₁, N₂) with `trace`.

    Args:
        directions: A.
        n1, n2: examples.
        same: the columns' examples are the rows': compute the upper triangle only.
        trace: sum over equal outputs.
    """

    def __init__(self, directions: int, n1: int, n2: int, same: bool, trace: bool, device: torch.device) -> None:
        self.trace, self.same = trace, same
        rectangles = self._rectangles(1 if trace else directions, n1, n2, same)
        self.blocks = [self._block(rows, columns, device) for rows, columns in rectangles]
        self.scratch: Tensor | None = None

    @staticmethod
    def _rectangles(directions: int, n1: int, n2: int, same: bool) -> list[Rectangle]:
        if same:
            return list(triangle(directions, n1, max(ROWS, -(-directions * n1 // 16))))
        return [((slice(0, directions), slice(0, n1)), (slice(0, directions), slice(0, n2)))]

    @classmethod
    def count(cls, directions: int, n1: int, n2: int, same: bool, trace: bool) -> int:
        """Entries that a tile of this size computes."""
        rectangles = cls._rectangles(1 if trace else directions, n1, n2, same)
        return sum(math.prod(part.stop - part.start for part in (*r, *c)) for r, c in rectangles)

    @staticmethod
    def _block(rows: Part, columns: Part, device: torch.device) -> Block:
        shape = [part.stop - part.start for part in (*rows, *columns)]
        return Block(rows, columns, torch.zeros(shape, dtype=torch.float64, device=device))

    def add(self, left: Tensor, right: Tensor, gram: Tensor | None = None) -> None:
        """Adds gram[i, j] · Σ_k left[a, i, k] right[b, j, k] for left (A, N₁, K), right (A, N₂, K), gram (N₁, N₂)."""
        if self.trace:  # Σₐ over equal outputs is part of the sum over k
            left, right = (side.transpose(0, 1).flatten(1).unsqueeze(0) for side in (left, right))
        for start in range(0, left.shape[2], COLUMNS):
            chunk = slice(start, start + COLUMNS)
            for block in self.blocks:
                self._add(block, left[*block.rows, chunk], right[*block.columns, chunk], gram)

    def _add(self, block: Block, left: Tensor, right: Tensor, gram: Tensor | None) -> None:
        if self.scratch is None or self.scratch.dtype != left.dtype:
            self.scratch = left.new_empty(max(block.total.numel() for block in self.blocks))
        product = self.scratch[: block.total.numel()].view(block.total.shape)
        rows, columns = left.flatten(0, 1), right.flatten(0, 1)
        torch.mm(rows, columns.mT, out=product.view(len(rows), len(columns)))
        if gram is not None:
            product *= gram[block.rows[1], block.columns[1]].unsqueeze(1)  # (N1, 1, N2) against (A, N1, A, N2)
        block.total += product

    def write(self, theta: Tensor, mirrored: Tensor | None, factor: float) -> None:
        """Copies factor · the sums to `theta`, (N₁, N₂, A, A) or (N₁, N₂), and their transposes to `mirrored`."""
        target, mirror = (t if t is None or t.dim() == 4 else t[..., None, None] for t in (theta, mirrored))
        if self.same:
            mirror = target
        for block in self.blocks:
            total = block.total if factor == 1 else block.total.mul_(factor)
            (a, i), (b, j) = block.rows, block.columns
            if self.same and (a.start, i.start) == (b.start, j.start):  # rounding may differ across the diagonal
                square = total[:, :, : a.stop - a.start, : i.stop - i.start]
                square += square.permute(2, 3, 0, 1).clone()
                square /= 2
            target[i, j, a, b] = total.permute(1, 3, 0, 2)
            if mirror is not None:
                mirror[j, i, b, a] = total.permute(3, 1, 2, 0)
