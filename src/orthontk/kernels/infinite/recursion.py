"""Σ and Θ of a network of infinite width, layer by layer.

A pass over single inputs first finds every layer's variances (all that the expectations depend on besides the
correlation), then blocks of pairs run through all layers, so that no more than a block is ever held.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from orthontk.checks import InvalidValue, integer
from orthontk.kernels.freed_memory import keep_freed_memory
from orthontk.kernels.infinite.duals import Dual
from orthontk.kernels.infinite.layers import LinearStep, activations, as_images, linear_steps
from orthontk.kernels.infinite.positions import alignments
from orthontk.kernels.infinite.variances import Moments, variance_pass
from orthontk.networks import CNN, FCN

PARALLEL = (
    1e-13  # pairs with 1 − |ρ| below this are taken as parallel: rounding over many layers cannot tell them apart
)
TENSORS_PER_PAIR = 12  # float64 tensors of a block's size alive at once
FAST_BLOCK = 2**17  # pairs of positions; larger blocks leave the processor's cache


class InfiniteKernels(NamedTuple):
    """Σ and Θ per output, each (N₁, N₂)."""

    nngp: Tensor
    ntk: Tensor


def infinite_kernels(
    net: FCN | CNN,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    init: str = "gaussian",
    dtype: torch.dtype = torch.float64,
    memory_limit: int | None = None,
) -> InfiniteKernels:
    """NNGP and NTK of `net` as its width grows without bound (`standard`: at its actual widths).

    The limit does not depend on whether dense weights, or a convolution's taps, are Gaussian or orthogonal (claim 1;
    Huang, Du, Xu 2021, theorems 3 and 5): `orthogonal` and `flat_orthogonal` give the `gaussian` kernels.
    `delta_orthogonal` has a limit of its own: signals pass a convolution's centre tap alone, yet every tap is trained.

    Accuracy, relative to √(Θ(x,x)Θ(x',x')): 1e-6 or better for variances from 1e-6 to 1e3, depths to 200 and pairs with
    1 − |ρ| ≥ 1e-8; 3e-5 for activations whose derivative jumps elsewhere than at 0, such as Hardtanh. Nearer pairs lose
    digits in a deep chaotic network, which multiplies 1 − ρ by χ₁ per layer from a rounding error of 1e-16 on; those
    with 1 − |ρ| < 1e-13 count as parallel, so that equal inputs stay equal. Each layer's expectations are as accurate
    for variances up to 1e12, and take seconds for each different variance.

    Args:
        net: its weights are not looked at, its activations, widths and variances are. So a CNN drawn by
            `initialize(net, "delta_orthogonal")` needs `init` as well.
        x1, x2: (N₁, …), (N₂, …) inputs; x2 = None means x1, and computes half of the pairs.
        init: a name in `orthontk.init.SCHEMES`.
        dtype: of the result. The arithmetic is in float64.
        memory_limit: bytes for working memory besides the inputs, the result, and what is kept of each input (and
            position) in every layer: its variance, and of activations without a closed form up to some hundred numbers.

    Raises:
        InvalidValue: an unknown `init` or one that cannot initialize `net`, inputs of another shape than the network's
            or none, a subclass with a forward pass of its own, an activation with trainable parameters or one that
            grows too fast for a layer's variance (exp(u) from 68 on), a variance above 1e16 where the activation has
            no closed form, or above 1e4 where it never tends to a constant or a power of u (as sin(u)), or a limit too
            small for one pair of inputs.

    Sources: Jacot et al. 2018; Arora et al. 2019 (CNTK); Novak et al. 2019; Xiao et al. 2018 (delta-orthogonal).

    >>> from orthontk.networks import FCN
    >>> net = FCN(2, 1, width=8, depth=2, activation="relu", weight_var=2.0, bias_var=0.0)
    >>> infinite_kernels(net, torch.eye(2)).ntk  # Σ + cos·(π−θ)/π with θ = π/2 off the diagonal
    tensor([[2.0000, 0.3183],
            [0.3183, 2.0000]], dtype=torch.float64)
    """
    keep_freed_memory()
    steps = linear_steps(net, init)
    inputs = [as_images(net, x) for x in (x1, x2) if x is not None]
    if not all(map(len, inputs)):
        raise InvalidValue("x", "an empty batch", "at least one input")
    duals, moments = variance_pass(steps, activations(net), inputs)
    n1, n2 = len(inputs[0]), len(inputs[-1])
    side = _block_side(math.prod(inputs[0].shape[-2:]), memory_limit)
    kernels = torch.empty(2, n1, n2, dtype=torch.float64)
    for i in range(0, n1, side):
        for j in range(i if x2 is None else 0, n2, side):
            rows, columns = slice(i, i + side), slice(j, j + side)
            block = _block(net, steps, duals, inputs, moments, rows, columns, same=x2 is None and i == j)
            kernels[:, rows, columns] = block
            if x2 is None and i != j:
                kernels[:, columns, rows] = kernels[:, rows, columns].mT.clone()
    return InfiniteKernels(*kernels.to(dtype))


def _block(
    net: FCN | CNN,
    steps: list[LinearStep],
    duals: list[Dual],
    inputs: list[Tensor],
    moments: list[list[Moments]],
    rows: slice,
    columns: slice,
    same: bool,
) -> Tensor:
    """Both kernels between two blocks of inputs: (2, B₁, B₂), symmetric to the last bit where both are the `same`."""
    size, padding, readout = inputs[0].shape[-2:], steps[0].padding, getattr(net, "readout", "flatten")
    images1, images2 = inputs[0][rows], inputs[-1][columns]
    total = torch.zeros(2, len(images1), len(images2), dtype=torch.float64)
    for alignment in alignments(size, padding, readout):
        count = alignment.count_in_symmetric(size) if same else 1
        if count == 0:
            continue
        first, second = alignment.of_first(images1), alignment.of_second(images2)
        covariances = _input_covariances(first, second)
        views = [
            (m1.view(rows, alignment.of_first, axis=1), m2.view(columns, alignment.of_second, axis=0))
            for m1, m2 in zip(moments[0], moments[-1], strict=True)
        ]
        for sums, values in zip(total, _hidden_layers(steps[:-1], duals, views, covariances), strict=True):
            sums.add_(values.sum((-2, -1)), alpha=count)
    if same:
        total = (total + total.mT) / 2
    positions = math.prod(size) ** (2 if readout == "pool" else 1)
    forward, backward = total / positions
    last = steps[-1]
    nngp = last.weight_var * forward + last.bias_var
    return torch.stack([nngp, last.input_scale * forward + last.bias_scale + last.weight_var * backward])


def _input_covariances(first: Tensor, second: Tensor) -> Tensor:
    """x(α)·x'(α)/channels: (B₁, C, h, w) and (B₂, C, h, w) to (B₁, B₂, h, w), in that order in memory."""
    if first.shape[-2:] == (1, 1):
        return (first.flatten(1) @ second.flatten(1).mT)[..., None, None] / first.shape[1]
    products = first[:, None, 0] * second[:, 0]
    for channel in range(1, first.shape[1]):
        products.addcmul_(first[:, None, channel], second[:, channel])
    return products.div_(first.shape[1])


def _hidden_layers(
    steps: list[LinearStep], duals: list[Dual], moments: list[tuple[Moments, Moments]], covariances: Tensor
) -> tuple[Tensor, Tensor]:
    """E[φφ'] and E[φ'φ']∘Θ after the last hidden layer, from the inputs' covariances: each (B₁, B₂, h, w).

    Time goes into passes over the block, so every intermediate that a later one may overwrite is.
    """
    forward, backward = covariances, None
    for step, dual, (first, second) in zip(steps, duals, moments, strict=True):
        trained = step.tap_sum(forward)
        passed = forward if step.passes_through_centre else trained
        sigma = torch.add(passed.new_tensor(step.bias_var), passed, alpha=step.passed_scale)
        through = None if backward is None else backward if step.passes_through_centre else step.tap_sum(backward)
        if passed is trained and (step.input_scale, step.bias_scale) == (step.weight_var, step.bias_var):
            theta = sigma.clone() if through is None else sigma.add(through, alpha=step.passed_scale)
        else:
            theta = torch.add(passed.new_tensor(step.bias_scale), trained, alpha=step.input_scale / step.taps)
            if through is not None:
                theta.add_(through, alpha=step.passed_scale)
        forward, derivatives = _expectations(dual, first, second, sigma)
        backward = theta.mul_(derivatives)
    return forward, covariances.new_zeros(()).expand_as(covariances) if backward is None else backward


def _expectations(dual: Dual, first: Moments, second: Moments, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """E[φ(u)φ(v)] and E[φ'(u)φ'(v)] for covariances `sigma` (B₁, B₂, h, w), which are overwritten."""
    # One after the other: the product of two small roots underflows.
    rho = sigma.mul_(first.root.reciprocal()).mul_(second.root.reciprocal())
    if first.means is not None:
        rho.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    lowest, highest = (float(bound) for bound in rho.aminmax())
    if lowest < PARALLEL - 1 or highest > 1 - PARALLEL:
        rho.clamp_(-1, 1)
        rho = rho.sign().where(rho.abs() > 1 - PARALLEL, rho)
    pair = dual.pair(first.features, second.features, rho)
    if first.means is None:
        return pair
    constant = (first.root == 0) | (second.root == 0)
    means = zip(first.means, second.means, strict=True)
    return tuple((m1 * m2).where(constant, expectation) for expectation, (m1, m2) in zip(pair, means, strict=True))


def _block_side(positions: int, memory_limit: int | None) -> int:
    """Inputs on each side of a block, whose pairs of positions take no more than the limit."""
    largest = FAST_BLOCK
    if memory_limit is not None:
        largest = min(largest, integer("memory_limit", memory_limit) // (8 * TENSORS_PER_PAIR))
        if largest < positions:
            needed = 8 * TENSORS_PER_PAIR * positions
            raise InvalidValue("memory_limit", memory_limit, f"at least {needed} bytes, for one pair of inputs")
    return max(1, math.isqrt(largest // positions))
