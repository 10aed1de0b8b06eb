"""Adds one parameter's share of the kernel to a tile, by the path that the plan chose."""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from orthontk.kernels.grain import Grain
from orthontk.kernels.shares import INPUT_GRAM, PULLED_BACK, TORCH_FUNC, Share
from orthontk.kernels.side import Side
from orthontk.kernels.tile import Tile
from orthontk.kernels.uses import Use, called_alike

Formed = tuple[Use, Tensor, Tensor | None]  # a use, its δ, and what this is contracted with
CHUNK_COLUMNS = 4096  # of a parameter's entries, at least: adding a product to the sums costs as much as a few hundred


def add_share(tile: Tile, share: Share, side1: Side, side2: Side) -> None:
    if share.path == INPUT_GRAM:
        _add_by_input_gram(tile, share, side1, side2)
    elif share.path in (TORCH_FUNC, PULLED_BACK):
        name = share.parameters[0]
        tile.add(side1.gradients[name], side2.gradients[name])
    else:
        _add_by_gradients(tile, share, side1, side2)


def _add_by_input_gram(tile: Tile, share: Share, side1: Side, side2: Side) -> None:
    """⟨δ hᵀ, δ' h'ᵀ⟩ = (h·h')(δ·δ'), summed over positions; no gradient is ever formed (Novak et al. 2022, §3.2)."""
    weight, *bias = share.parameters
    terms1, terms2 = _terms(side1, weight), _terms(side2, weight)
    for left, use1, factor1, p in terms1:
        for right, use2, factor2, q in terms2:
            gram = use1.input_gram(factor1, p, factor2, q).to(left.dtype).mul_(use1.scale * use2.scale)
            for name in bias:  # ∂f/∂b = scale·δ: the same products of δ, with a constant for h·h'
                gram += side1.uses[name][0].scale ** 2
            tile.add(left[:, :, p], right[:, :, q], gram)


def _terms(side: Side, name: str) -> list[tuple[Tensor, Use, Tensor, int]]:
    """δ (N, A, P, n_out), its use, h and a position, for every position of every use."""
    terms = []
    for use in side.uses[name]:
        left, factor = use.left(side.deltas[use.edge]), use.factor()
        terms += [(left, use, factor, p) for p in range(use.positions)]
    return terms


def _add_by_gradients(tile: Tile, share: Share, side1: Side, side2: Side) -> None:
    """Forms ∂fₐ(xᵢ)/∂θ some rows of θ at a time, summed over all uses, and takes inner products."""
    name = share.parameters[0]
    formed1 = _formed_of(side1, name)
    formed2 = formed1 if side1 is side2 else _formed_of(side2, name)
    for rows in _row_chunks(side1.uses[name], side1.deltas, tile.grain):
        gradients1 = _gradients(formed1, rows)
        tile.add(gradients1, gradients1 if side1 is side2 else _gradients(formed2, rows))


def _formed_of(side: Side, name: str) -> list[Formed]:
    """Each use of a parameter with its δ and its factor; of a dense layer called many times, one of all positions."""
    uses = side.uses[name]
    deltas = [side.deltas[use.edge] for use in uses]
    if called_alike(uses):
        deltas = [torch.cat([use.left(delta) for use, delta in zip(uses, deltas, strict=True)], 2)]
        inputs = torch.cat([use.factor() for use in uses], 1)
        uses = [replace(uses[0], inputs=inputs, z_shape=deltas[0].shape[2:])]
    return [(use, delta, use.factor()) for use, delta in zip(uses, deltas, strict=True)]


def _gradients(formed: list[Formed], rows: slice) -> Tensor:
    parts = (use.gradients(delta, factor, rows) for use, delta, factor in formed)
    total = next(parts)
    for part in parts:  # uses of one parameter add up before the product: their cross terms count
        total = total + part
    return total.flatten(2)  # (N, A, entries)


def chunk_bytes(gradients: int, itemsize: int, grain: Grain) -> int:
    """Memory of the per-example gradients that are held at a time, for N·A of them; a parameter may have fewer."""
    return max(grain.chunk_bytes, gradients * CHUNK_COLUMNS * itemsize)


def _row_chunks(uses: list[Use], deltas: list[Tensor | None], grain: Grain) -> Iterator[slice]:
    shape, delta = uses[0].shape or (1,), deltas[uses[0].edge]
    gradients, itemsize = math.prod(delta.shape[:2]), delta.element_size()
    group = math.lcm(*(use.row_group for use in uses))
    bytes_of_group = gradients * math.prod(shape[1:]) * itemsize * group
    step = group * max(1, chunk_bytes(gradients, itemsize, grain) // bytes_of_group)
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))
