"""Averages over a convolution's taps, and the pairs of positions that a readout sums over."""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor

Window = tuple[slice, slice]


def tap_average(covariances: Tensor, kernel_size: int, padding: str) -> Tensor:
    """(1/k²) Σ_β C(α+β, α'+β) for aligned pairs of positions: (…, H, W) to (…, H, W).

    With `zeros` padding what lies outside counts as 0. The two axes are summed one after the other: 2k terms, not k².
    """
    margin = kernel_size // 2
    if margin == 0:
        return covariances
    h, w = covariances.shape[-2:]
    mode = {"mode": "circular"} if padding == "circular" else {}
    padded = F.pad(covariances.reshape(-1, 1, h, w), (margin,) * 4, **mode)  # (M, 1, H+2m, W+2m)
    rows = padded[..., :h, :].clone()
    for shift in range(1, kernel_size):
        rows += padded[..., shift : shift + h, :]
    total = rows[..., :w].clone()
    for shift in range(1, kernel_size):
        total += rows[..., shift : shift + w]
    return total.div_(kernel_size**2).reshape(covariances.shape)


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
