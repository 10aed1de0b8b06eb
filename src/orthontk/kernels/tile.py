"""The sums of one tile of the kernel, kept in float64."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from orthontk.kernels.grain import Grain

COLUMNS = 8192  # products over more entries of a parameter than this are summed in float64


@dataclass(frozen=True)
class Part:
    """`count` blocks of equal size, multiplied together: the b-th is `step`·b examples further along both axes.

    Attributes:
        rows, columns: examples of the first block.
        diagonal: the rows are the columns, so that each block is symmetric.
    """

    count: int
    step: int
    rows: slice
    columns: slice
    diagonal: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.count, self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    @property
    def pairs(self) -> int:
        count, rows, columns = self.shape
        return count * rows * columns

    def matrices(self, x: Tensor, examples: slice) -> Tensor:
        """The blocks' rows, as a view: (N, A, K) -> (count, n·A, K) for x whose directions lie one after another."""
        example, direction, entry = x.stride()
        shape = self.count, (examples.stop - examples.start) * x.shape[1], x.shape[2]
        first = x.storage_offset() + examples.start * example
        return x.as_strided(shape, (self.step * example, direction, entry), first)

    def blocks(self, x: Tensor, examples: slice, axis: int = 0) -> Tensor:
        """The blocks of one axis, as a view: (…, n, …) -> (…, count, …, size)."""
        size = examples.stop - examples.start
        return x.narrow(axis, examples.start, (self.count - 1) * self.step + size).unfold(axis, size, self.step)

    def of_pairs(self, x: Tensor) -> Tensor:
        """The blocks of a tensor over pairs of examples, as a view: (n₁, n₂, …) -> (…, rows, columns, count)."""
        rows = self.blocks(x, self.rows)
        return self.blocks(rows, self.columns, axis=1).diagonal(dim1=0, dim2=1)


def parts(n1: int, n2: int, directions: int, same: bool, leaf_rows: int) -> list[Part]:
    """What to compute of n₁×n₂ pairs: all of them, or with `same` the upper triangle, halved again and again.

    Blocks of one size are multiplied together. Examples that the smallest size does not divide come last.

    >>> [part.shape for part in parts(8, 8, 10, same=True, leaf_rows=10)]
    [(8, 1, 1), (4, 1, 1), (2, 2, 2), (1, 4, 4)]
    """
    if not same:
        return [Part(1, 1, slice(0, n1), slice(0, n2))]
    leaf, count = n1, 1
    while leaf // 2 * directions >= leaf_rows:
        leaf, count = leaf // 2, count * 2
    divided = leaf * count
    found = [Part(count, leaf, slice(0, leaf), slice(0, leaf), diagonal=True)]
    while leaf < divided:
        found.append(Part(divided // (2 * leaf), 2 * leaf, slice(0, leaf), slice(leaf, 2 * leaf)))
        leaf *= 2
    if divided < n1:
        rest = slice(divided, n1)
        found += [Part(1, 1, slice(0, divided), rest), Part(1, 1, rest, rest, diagonal=True)]
    return found


def computed_pairs(directions: int, n1: int, n2: int, same: bool, leaf_rows: int) -> int:
    """Entries of a tile that are computed: with `same`, the upper triangle in blocks."""
    return sum(part.pairs for part in parts(n1, n2, directions, same, leaf_rows)) * directions**2


class Tile:
    """Accumulates Σ_θ of inner products of gradients, for N₁ × N₂ examples.

    Args:
        directions: A, of which the tile keeps all pairs; 1 with `trace`.
        n1, n2: examples.
        same: the columns' examples are the rows': compute the upper triangle only.
        trace: sum over equal directions.
    """

    def __init__(
        self, directions: int, n1: int, n2: int, same: bool, trace: bool, grain: Grain, device: torch.device
    ) -> None:
        self.directions, self.same, self.grain = 1 if trace else directions, same, grain
        self.parts = parts(n1, n2, self.directions, same, grain.leaf_rows)
        self.totals = [
            torch.zeros(count, rows * self.directions, columns * self.directions, dtype=torch.float64, device=device)
            for count, rows, columns in (part.shape for part in self.parts)
        ]
        self.scratch: Tensor | None = None

    def add(self, left: Tensor, right: Tensor, gram: Tensor | None = None) -> None:
        """Adds gram[i, j] · Σ_k left[i, a, k] right[j, b, k] for left (N₁, A, K), right (N₂, A, K), gram (N₁, N₂).

        For a trace the sum runs over a = b, too.
        """
        left, right = (_rows_in_line(side.reshape(len(side), self.directions, -1)) for side in (left, right))
        if gram is not None and self.directions > 1:  # so that the product's columns have one factor each
            gram = gram.repeat_interleave(self.directions, dim=1).unflatten(1, (-1, self.directions))
        if self.scratch is None or self.scratch.dtype != left.dtype:
            self.scratch = left.new_empty(max(total.numel() for total in self.totals))
        chunks = max(1, math.ceil(left.shape[2] / COLUMNS))
        for left_chunk, right_chunk in zip(left.chunk(chunks, 2), right.chunk(chunks, 2), strict=True):
            for part, total in zip(self.parts, self.totals, strict=True):
                self._add(part, total, left_chunk, right_chunk, gram)

    def _add(self, part: Part, total: Tensor, left: Tensor, right: Tensor, gram: Tensor | None) -> None:
        product = self.scratch[: total.numel()].view(total.shape)
        torch.bmm(part.matrices(left, part.rows), part.matrices(right, part.columns).mT, out=product)
        if gram is not None:
            factors = part.of_pairs(gram)  # (n, n₂, count), or (A, n, n₂, count) with a factor for each column
            factors = factors.permute(-1, -3, -2, 0) if factors.dim() == 4 else factors.permute(2, 0, 1).unsqueeze(-1)
            by_example = product.view(*part.shape[:2], self.directions, part.shape[2], self.directions)
            by_example.mul_(factors.unsqueeze(2))
        together = self.grain.added_entries
        for sums, addends in zip(total.view(-1).split(together), product.view(-1).split(together), strict=True):
            sums += addends

    def trace(self) -> Tensor:
        """Σᵢₐ of the sums so far, for a tile of one set of examples."""
        diagonals = (
            t.diagonal(dim1=1, dim2=2).sum() for p, t in zip(self.parts, self.totals, strict=True) if p.diagonal
        )
        return sum(diagonals)

    def write(self, theta: Tensor, mirrored: Tensor | None, factor: float) -> None:
        """Copies factor · the sums to `theta`, (N₁, N₂, A, A) or (N₁, N₂), and their transposes to `mirrored`."""
        if self.same:
            mirrored = theta
        targets = [t if t.dim() == 4 else t[..., None, None] for t in (theta, mirrored) if t is not None]
        for part, total in zip(self.parts, self.totals, strict=True):
            if factor != 1:
                total *= factor
            if part.diagonal:  # a product's two halves may be rounded differently
                total = (total + total.mT) / 2
            sums = total.view(*part.shape[:2], self.directions, part.shape[2], self.directions)
            part.of_pairs(targets[0]).copy_(sums.permute(2, 4, 1, 3, 0))
            if len(targets) == 2 and not part.diagonal:
                part.of_pairs(targets[1].permute(1, 0, 3, 2)).copy_(sums.permute(2, 4, 1, 3, 0))


def _rows_in_line(x: Tensor) -> Tensor:
    """(N, A, K) such that (N·A, K) is a view."""
    return x if x.stride(0) == x.shape[1] * x.stride(1) else x.contiguous()
