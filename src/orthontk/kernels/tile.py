"""The sums of one tile of the kernel, kept in float64."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

ROWS = 64  # of a product: enough for full matrix speed, few enough that a triangle of blocks saves almost half
COLUMNS = 8192  # products over more entries of a parameter than this are summed in float64


@dataclass
class Block:
    """Some rows of the tile: `examples` against those from `first` on."""

    examples: slice
    first: int
    total: Tensor  # (n·A, n₂·A), rows and columns (example, direction)


def row_blocks(examples: int, directions: int) -> Iterator[slice]:
    """Blocks of about `ROWS` rows (example, direction), at most 16 of them."""
    size = max(1, ROWS // directions, -(-examples // 16))
    for start in range(0, examples, size):
        yield slice(start, min(start + size, examples))


def computed_pairs(directions: int, n1: int, n2: int, same: bool) -> int:
    """Entries of a tile that are computed: with `same`, the upper triangle in blocks."""
    if not same:
        return n1 * n2 * directions**2
    return sum((b.stop - b.start) * (n2 - b.start) for b in row_blocks(n1, directions)) * directions**2


class Tile:
    """Accumulates Σ_θ of inner products of gradients, for N₁ × N₂ examples.

    Args:
        directions: A, of which the tile keeps all pairs; 1 with `trace`.
        n1, n2: examples.
        same: the columns' examples are the rows': compute the upper triangle only.
        trace: sum over equal directions.
    """

    def __init__(self, directions: int, n1: int, n2: int, same: bool, trace: bool, device: torch.device) -> None:
        self.directions, self.same = 1 if trace else directions, same
        examples = row_blocks(n1, self.directions) if same else [slice(0, n1)]
        self.blocks = []
        for rows in examples:
            first = rows.start if same else 0
            shape = (rows.stop - rows.start) * self.directions, (n2 - first) * self.directions
            self.blocks.append(Block(rows, first, torch.zeros(shape, dtype=torch.float64, device=device)))
        self.scratch: Tensor | None = None

    def add(self, left: Tensor, right: Tensor, gram: Tensor | None = None) -> None:
        """Adds gram[i, j] · Σ_k left[i, a, k] right[j, b, k] for left (N₁, A, K), right (N₂, A, K), gram (N₁, N₂)."""
        left, right = (side.reshape(len(side), self.directions, -1) for side in (left, right))  # trace: k runs over a
        if gram is not None and self.directions > 1:  # so that the product's columns have one factor each
            gram = gram.repeat_interleave(self.directions, dim=1)
        for start in range(0, left.shape[2], COLUMNS):
            chunk = slice(start, start + COLUMNS)
            for block in self.blocks:
                self._add(block, left[block.examples, :, chunk], right[block.first :, :, chunk], gram)

    def _add(self, block: Block, left: Tensor, right: Tensor, gram: Tensor | None) -> None:
        if self.scratch is None or self.scratch.dtype != left.dtype:
            self.scratch = left.new_empty(max(b.total.numel() for b in self.blocks))
        product = self.scratch[: block.total.numel()].view(block.total.shape)
        torch.mm(left.flatten(0, 1), right.flatten(0, 1).mT, out=product)
        if gram is not None:
            factors = gram[block.examples, block.first * self.directions :].unsqueeze(1)  # (n, 1, n₂·A)
            product.view(len(left), self.directions, -1).mul_(factors)
        block.total += product

    def write(self, theta: Tensor, mirrored: Tensor | None, factor: float) -> None:
        """Copies factor · the sums to `theta`, (N₁, N₂, A, A) or (N₁, N₂), and their transposes to `mirrored`."""
        target, mirror = (t if t is None or t.dim() == 4 else t[..., None, None] for t in (theta, mirrored))
        for block in self.blocks:
            total = block.total if factor == 1 else block.total.mul_(factor)
            if self.same:  # a product's two halves may be rounded differently
                square = total[:, : len(total)]
                square.copy_((square + square.mT) / 2)
            total = total.unflatten(1, (-1, self.directions)).unflatten(0, (-1, self.directions))  # (n, A, n₂, A)
            target[block.examples, block.first :] = total.transpose(1, 2)
            if self.same:
                target[block.first :, block.examples] = total.permute(2, 0, 3, 1)
            elif mirror is not None:
                mirror[:, block.examples] = total.permute(2, 0, 3, 1)
