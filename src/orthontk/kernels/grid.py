"""Cuts a kernel into tiles that fit in a given memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from orthontk.checks import InvalidValue
from orthontk.kernels.contractions import chunk_bytes
from orthontk.kernels.costs import Sizes
from orthontk.kernels.grain import Grain
from orthontk.kernels.plan import Plan
from orthontk.kernels.pulling_back import COPIES, MOST_TOGETHER
from orthontk.kernels.shares import PER_EXAMPLE, PULLED_BACK, TORCH_FUNC, Share
from orthontk.kernels.uses import ConvolutionUse, ProductUse, Use, called_alike

DEFAULT_MEMORY_LIMIT = 2 * 2**30  # fixed, since tile sizes change the last bits of a kernel
COPIES_FORWARD = 3  # of the largest result, which a pass holds at a time
FEWEST_ROWS = 128  # of a tile, before other examples are dropped to make room for a larger one


@dataclass(frozen=True)
class Memory:
    """Bytes needed for one example, from the shapes that the plan saw.

    Attributes:
        resident: kept for as long as the example's tiles are computed: h, δ, gradients by `torch.func`.
        passing: needed besides while the passes run.
        factors: what the uses of one parameter are contracted with: patches, normalized inputs; the most of any.
        pulling: needed by the passes besides to pull gradients back to parameters, up to `MOST_TOGETHER` in all.
        fixed: needed by the passes for any number of examples: the buffers' copies, and to pull one gradient back.
    """

    resident: int
    passing: int
    factors: int
    pulling: int
    fixed: int


def memory_of(plan: Plan, itemsize: int) -> Memory:
    uses = {id(use): use for share in plan.shares for use in share.uses}.values()
    storages = [use.inputs.untyped_storage() for use in uses if hasattr(use, "inputs")]  # h may be a view of a part
    held = {storage.data_ptr(): storage.nbytes() // plan.probed for storage in storages}
    held |= {id(use): itemsize * math.prod(use.z_shape) for use in uses if isinstance(use, ProductUse)}
    z_bytes = itemsize * sum({use.edge: math.prod(use.z_shape) for use in uses}.values())
    functional, pulled_back = (
        itemsize * plan.directions * sum(share.entries for share in plan.shares if share.path == path)
        for path in (TORCH_FUNC, PULLED_BACK)
    )
    resident = sum(held.values()) + plan.directions * z_bytes + functional + pulled_back
    in_flight = plan.directions if plan.batched else 1
    largest = max(in_flight * plan.copies * plan.largest_bytes, COPIES_FORWARD * plan.result_bytes)
    passing = plan.saved_bytes + largest + (0 if plan.batched else z_bytes)
    if functional:  # torch.func repeats both passes for every direction, and copies what it returns
        own = itemsize * max(share.entries for share in plan.shares if share.path == TORCH_FUNC)
        made = max(0, plan.shared_bytes - own)  # of parameters alone: its gradient, too, is every example's own
        each = plan.saved_bytes + 2 * (plan.largest_bytes + made)
        passing = max(passing, 2 * functional + plan.directions * each)
    factors = [_factor_entries(share, plan.directions) for share in plan.shares if share.path != TORCH_FUNC]
    weights = [math.prod(use.shape) for share in plan.shares if share.path == PULLED_BACK for use in share.uses]
    weight = itemsize * max(weights, default=0)
    fixed = plan.buffer_bytes + (plan.directions + COPIES) * weight
    return Memory(resident, passing, itemsize * max(factors, default=0), plan.directions * COPIES * weight, fixed)


def _factor_entries(share: Share, directions: int) -> int:
    """Numbers that are made for one example to contract with: of δ, too, where several calls are taken together."""
    if share.path == PER_EXAMPLE and called_alike(share.uses):
        return sum(use.inputs[0].numel() + directions * math.prod(use.z_shape) for use in share.uses)
    return sum(map(_own_factor_entries, share.uses))


def _own_factor_entries(use: Use) -> int:
    """Numbers in `use.factor()` for one example, where it is no view; a product with δ is formed besides."""
    if isinstance(use, ConvolutionUse):
        return use.positions * use.groups * math.prod(use.shape[1:])
    return 2 * math.prod(use.z_shape) if isinstance(use, ProductUse) else 0


@dataclass(frozen=True)
class Grid:
    """Blocks of examples, and how many of them may be held at once."""

    blocks1: list[slice]
    blocks2: list[slice]
    same: bool
    held: int

    def tiles(self) -> Iterator[tuple[int, int]]:
        """As many rows together as can be held beside one column, so that columns are passed as few times as can be.

        The columns' direction alternates, so that the block held last is needed first.
        """
        together = max(1, self.held - 1)
        for turn, first in enumerate(range(0, len(self.blocks1), together)):
            rows = range(first, min(first + together, len(self.blocks1)))
            columns = range(first if self.same else 0, len(self.blocks2))
            for j in columns if turn % 2 == 0 else reversed(columns):
                yield from ((i, j) for i in rows if i <= j or not self.same)


def make_grid(plan: Plan, sizes: Sizes, limit: int, grain: Grain, shared_by: int) -> Grid:
    """The grid for N₁×N₂ examples within `limit` bytes.

    Args:
        shared_by: cut at least into about as many tiles as there are processes to share them.

    Raises:
        InvalidValue: two single examples do not fit.
    """
    same, longest, itemsize = sizes.same, max(sizes.n1, sizes.n2), sizes.itemsize
    memory = memory_of(plan, itemsize)
    rows = 1 if sizes.trace else plan.directions

    def tile_bytes(size: int) -> int:
        sums = products = (size * rows) ** 2
        if same and size >= longest:  # a triangle: at most three quarters in all, a quarter at a time, if it is halved
            whole = min(sums, (2 * grain.leaf_rows) ** 2)
            sums, products = max(whole, 0.75 * sums), max(whole, 0.25 * sums)
        grams = size**2 * (1 + rows)
        sides = 1 if same and size >= longest else 2
        formed = size * plan.directions
        gradients = max((_gradient_bytes(share, formed, itemsize, grain) for share in plan.shares), default=0)
        return int(sums * 8 + (products + grams) * itemsize + sides * (2 * gradients + size * memory.factors))

    def peak(size: int, examples_held: int) -> int:
        during_passes = size * memory.passing + min(size * memory.pulling, MOST_TOGETHER) + memory.fixed
        return examples_held * memory.resident + max(during_passes, tile_bytes(size))

    cap = max(1, min(longest, grain.tile_rows // rows, math.ceil(longest / math.ceil(math.sqrt(2 * shared_by - 1)))))
    size = _largest(cap, lambda size: peak(size, sizes.examples) <= limit)
    if size >= min(cap, max(1, FEWEST_ROWS // rows)):  # all examples can be held, and tiles are not too small
        held = sizes.examples  # at most one block for each
    else:
        size = _largest(longest, lambda size: peak(size, 2 * size) <= limit)
        if size == 0:
            raise InvalidValue("memory_limit", limit, f"at least {peak(1, 2)} bytes for this network")
        held = max(2, (limit - peak(size, 0)) // max(1, size * memory.resident))
    return Grid(_blocks(sizes.n1, size), _blocks(sizes.n2, size), same, held)


def _gradient_bytes(share: Share, formed: int, itemsize: int, grain: Grain) -> int:
    """Of those per-example gradients of a parameter that are formed at a time, N·A of them: whole rows of it."""
    if share.path != PER_EXAMPLE:
        return 0
    rows = math.lcm(*(use.row_group for use in share.uses))
    of_rows = formed * itemsize * rows * math.prod(share.uses[0].shape[1:])
    return min(max(chunk_bytes(formed, itemsize, grain), of_rows), formed * itemsize * share.entries)


def _largest(top: int, fits) -> int:
    """The largest size from 1 to `top` that fits, 0 if none does; what fits also fits when smaller."""
    low, high = 0, top
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _blocks(n: int, size: int) -> list[slice]:
    """Blocks of at most `size` whose sizes differ by at most one."""
    count = math.ceil(n / size)
    edges = [n * k // count for k in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]
