"""What each way of contracting a parameter's gradients costs, by the shapes.

Notation: N₁, N₂ examples, A directions in output space (O, or 1 for `sum_of_logits`), P positions, K entries of the
parameter. A multiplication and an addition are two FLOPs. With x₂ = x₁ only the upper triangle is computed; the blocks
on the diagonal are computed whole, so `pairs` counts what is really done.
"""

import math
from dataclasses import dataclass

from orthontk.kernels.uses import ConvolutionUse, DenseUse, EmbeddingUse, Use

# Arithmetic that takes as long as moving one byte: a CPU core does about 100 GFLOP/s and moves 10 GB/s, an accelerator
# 60 TFLOP/s and 5 TB/s.
FLOPS_PER_BYTE = 10


@dataclass(frozen=True)
class Cost:
    """Arithmetic, and bytes read and written by passes over intermediate tensors."""

    flops: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes)

    @property
    def weight(self) -> float:
        """Time, in FLOPs."""
        return self.flops + FLOPS_PER_BYTE * self.bytes


@dataclass(frozen=True)
class Sizes:
    """Sizes that all parameters share.

    Attributes:
        n1, n2: examples.
        directions: A.
        pairs: how many entries (i, a, j, b) are computed, or (i, j) with `trace`.
        same: whether x₂ = x₁, so that gradients are formed once.
        trace: whether only equal outputs count.
        itemsize: bytes of a number.
    """

    n1: int
    n2: int
    directions: int
    pairs: float
    same: bool
    trace: bool
    itemsize: int

    @property
    def examples(self) -> int:
        return self.n1 if self.same else self.n1 + self.n2

    @property
    def rows(self) -> int:
        """Gradients ∂fₐ(xᵢ) that are formed."""
        return self.directions * self.examples

    @property
    def accumulation_bytes(self) -> float:
        """A product is written, multiplied by an input Gram matrix and added to float64 sums."""
        return self.pairs * (3 * self.itemsize + 16)


def input_gram(uses: list[Use], sizes: Sizes) -> Cost:
    """(h·h') ∘ (δ·δ') for every pair of positions."""
    use, n_out = uses[0], uses[0].z_shape[-1]
    n_in = use.inputs.shape[-1] if isinstance(use, DenseUse) else 1
    pairs_of_positions = sum(use.positions for use in uses) ** 2
    output_products = 2 * sizes.pairs * n_out * (sizes.directions if sizes.trace else 1)
    input_products = 2 * sizes.n1 * sizes.n2 * n_in
    flops = pairs_of_positions * (output_products + input_products + 2 * sizes.pairs)
    reads = sizes.rows * n_out * sizes.itemsize
    return Cost(flops, pairs_of_positions * (sizes.accumulation_bytes + reads))


def per_example_gradients(uses: list[Use], sizes: Sizes) -> Cost:
    """Form ∂fₐ(xᵢ)/∂θ from δ and h, then take inner products."""
    return forming(uses, sizes) + inner_products(math.prod(uses[0].shape), sizes)


def forming(uses: list[Use], sizes: Sizes) -> Cost:
    """Gradients from δ and h."""
    total = Cost()
    for use in uses:
        entries = math.prod(use.shape)
        if isinstance(use, DenseUse | ConvolutionUse):
            total += Cost(2 * sizes.rows * use.positions * entries)
        else:
            total += Cost(2 * sizes.rows * math.prod(use.z_shape))
        if isinstance(use, ConvolutionUse):  # patches are copied out of the image
            patches = use.positions * use.groups * math.prod(use.shape[1:])
            total += Cost(0, 2 * sizes.examples * patches * sizes.itemsize)
        total += Cost(0, sizes.rows * (2 * entries + math.prod(use.z_shape)) * sizes.itemsize)
    return total


def inner_products(entries: int, sizes: Sizes) -> Cost:
    """Σ_θ of products of gradients that are already there."""
    products = 2 * sizes.pairs * entries * (sizes.directions if sizes.trace else 1)
    return Cost(products, sizes.accumulation_bytes)


def pulled_back(uses: list[Use], entries: int, sizes: Sizes) -> Cost:
    """Gradients of what is made of parameters, at least one multiplication and addition for each of theirs, and the
    inner products; several parameters of one function each count what they share."""
    pulling = Cost(2 * sizes.rows * entries, 2 * sizes.rows * entries * sizes.itemsize)
    return forming(uses, sizes) + pulling + inner_products(entries, sizes)


def functional(entries: int, sizes: Sizes) -> Cost:
    """The inner products of `torch.func`'s gradients, which passes of their own form for all such parameters."""
    return Cost(0, 2 * sizes.rows * entries * sizes.itemsize) + inner_products(entries, sizes)


def has_input_gram(uses: list[Use]) -> bool:
    """Whether the parameter's gradient is a sum of outer products of one kind, so that `input_gram` applies."""
    dense = all(isinstance(use, DenseUse) and use.transposed == uses[0].transposed for use in uses)
    return dense or all(isinstance(use, EmbeddingUse) for use in uses)
