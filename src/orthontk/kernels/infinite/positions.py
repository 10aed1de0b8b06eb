"""Sums over a convolution's taps, and the pairs of positions that a readout sums over."""

from collections.abc import Iterator

import torch
from torch import Tensor


def tap_sum(covariances: Tensor, kernel_size: int, padding: str) -> Tensor:
    """Σ_β C(α+β, α'+β) for aligned pairs of positions: (…, H, W) to (…, H, W).

    With `zeros` padding what lies outside counts as 0; a torus may be smaller than the kernel. The two axes are summed
    one after the other: 2k terms, not k².
    """
    reach = kernel_size // 2
    if reach == 0:
        return covariances
    h, w = covariances.shape[-2:]
    total = covariances.contiguous()
    for axis in ((-1, h, w), (-1, w, 1)):  # (…, length, stride)
        total = _window_sums(total.view(axis), reach, padding == "circular")
    return total.view(covariances.shape)


def _window_sums(c: Tensor, reach: int, wraps: bool) -> Tensor:
    """Sums over windows of 2·reach + 1 neighbours along the middle axis of a contiguous (m, n, stride) tensor.

    All memory is shifted upon itself at once, which is several times as fast as slices of short rows; that mixes
    neighbouring rows at both ends of the axis, whose windows are then summed by themselves.
    """
    n, stride = c.shape[1:]
    total, flat = torch.empty_like(c), c.view(-1)
    if n > 2 * reach:
        sums = total.view(-1)
        span = len(flat) - 2 * reach * stride
        torch.add(flat[:span], flat[stride : stride + span], out=sums[reach * stride : reach * stride + span])
        for shift in range(2, 2 * reach + 1):
            sums[reach * stride : reach * stride + span].add_(flat[shift * stride : shift * stride + span])
    for end in sorted({*range(min(reach, n)), *range(max(0, n - reach), n)}):
        window = range(end - reach, end + reach + 1)
        first, *others = [i % n for i in window] if wraps else [i for i in window if 0 <= i < n]
        here = total[:, end].copy_(c[:, first])
        for i in others:
            here.add_(c[:, i])
    return total


class Alignment:
    """All pairs of positions (α, α+Δ) for one displacement Δ, as two views of images that lie upon each other.

    A convolution takes aligned pairs to aligned pairs, so each displacement is a recursion of its own. On a torus the
    second image is rolled; with zeros outside, both are cut to where they overlap, and what is outside either is 0.
    """

    def __init__(self, shift: tuple[int, int], size: tuple[int, int], padding: str) -> None:
        self.shift = shift
        self.rolls = padding == "circular"
        self.first = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(shift, size, strict=True))
        self.second = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(shift, size, strict=True))

    def of_first(self, images: Tensor) -> Tensor:  # (…, H, W) -> (…, h, w)
        return images if self.rolls else images[(..., *self.first)]

    def of_second(self, images: Tensor) -> Tensor:
        if self.rolls:
            return images if self.shift == (0, 0) else images.roll([-d for d in self.shift], (-2, -1))
        return images[(..., *self.second)]

    def count_in_symmetric(self, size: tuple[int, int]) -> int:
        """How often to count it where both sets of images are one: the sums for Δ and −Δ are each other's transpose,
        so that after averaging with the transpose one of the two, counted twice, stands for both."""
        opposite = tuple(-d % n if self.rolls else -d for d, n in zip(self.shift, size, strict=True))
        return 1 if opposite == self.shift else 2 * (self.shift > opposite)


def alignments(size: tuple[int, int], padding: str, readout: str) -> Iterator[Alignment]:
    """The displacements that a readout sums over: none but 0 for `flatten`, all of them for `pool`."""
    if readout == "flatten":
        yield Alignment((0, 0), size, padding)
        return
    height, width = size
    top, left = (0, 0) if padding == "circular" else (1 - height, 1 - width)
    for dy in range(top, height):
        for dx in range(left, width):
            yield Alignment((dy, dx), size, padding)
