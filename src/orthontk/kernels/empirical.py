"""The empirical NTK of any network, exact, without Jacobians where the layer's structure is known."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue, one_of
from orthontk.kernels.backward import cotangents, output_gradients
from orthontk.kernels.contractions import gram, inner_products
from orthontk.kernels.fallback import functional_gradients
from orthontk.kernels.parameters import StandIns, stand_ins
from orthontk.kernels.recorder import record
from orthontk.kernels.uses import DenseUse, Use

OUTPUTS = ("full", "trace", "sum_of_logits")


def empirical_ntk(
    net: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    outputs: str = "full",
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Θ(x,x')ₐᵦ = Σ_θ ∂fₐ(x)/∂θ · ∂fᵦ(x')/∂θ over the parameters with `requires_grad`.

    Args:
        net: maps (N, …) to (N, O), each example on its own.
        x1: (N₁, …).
        x2: (N₂, …); None means x1.
        outputs: "full", "trace" (the mean over outputs of Θₐₐ) or "sum_of_logits" (the kernel of Σₐ fₐ/√O, Mohamadi
            et al. 2022).
        dtype: of computation and result; None means that of the parameters.

    Returns:
        (N₁, N₂, O, O) for `full`, otherwise (N₁, N₂).

    Raises:
        InvalidValue: an argument outside what is accepted.

    The network is left as it was: no random numbers, no `.grad`, no hooks, no modes.

    >>> net = nn.Linear(3, 2)  # ∂fₐ/∂W = eₐ xᵀ, ∂fₐ/∂b = eₐ: Θ = (x·x' + 1) I
    >>> empirical_ntk(net, torch.ones(1, 3))[0, 0]
    tensor([[4., 0.],
            [0., 4.]])
    """
    one_of("outputs", outputs, OUTPUTS)
    dtype = dtype or _floating_dtype(net)
    tensors = stand_ins(net, dtype)
    side1 = _side(net, tensors, _cast(x1, dtype), outputs)
    side2 = side1 if x2 is None else _side(net, tensors, _cast(x2, dtype), outputs)
    trace = outputs != "full"
    theta = sum(_share(side1, side2, name, trace).double() for name in tensors.trainable)
    if outputs == "full":
        return theta.permute(1, 3, 0, 2).to(dtype).contiguous()  # (O, N1, O, N2) -> (N1, N2, O, O)
    return (theta / len(side1.directions)).to(dtype)


@dataclass
class _Side:
    """One set of inputs after the forward and backward pass: what each parameter's share is made of."""

    uses: dict[str, list[Use]]
    deltas: list[Tensor | None]
    fallback: dict[str, Tensor]  # per-example gradients
    directions: Tensor

    def gradients(self, name: str) -> Tensor:  # (O, N, *shape)
        if name in self.fallback:
            return self.fallback[name]
        return sum(use.gradients(self.deltas[use.edge]) for use in self.uses[name])


def _side(net: nn.Module, tensors: StandIns, x: Tensor, outputs: str) -> _Side:
    with torch.enable_grad():
        recorded = record(net, tensors, x)
    directions = cotangents(outputs, *recorded.outputs.shape, like=recorded.outputs)
    deltas = output_gradients(recorded.outputs, recorded.edges, directions)
    uses = defaultdict(list)
    for use in recorded.uses:
        if deltas[use.edge] is not None:
            uses[use.parameter].append(use)
    unrecorded = sorted(recorded.unrecorded)
    gradients = functional_gradients(net, tensors, unrecorded, x, directions) if unrecorded else {}
    return _Side(uses, deltas, gradients, directions)


def _share(side1: _Side, side2: _Side, name: str, trace: bool) -> Tensor:
    uses1, uses2 = side1.uses[name], side2.uses[name]
    if name not in side1.fallback and not uses1:  # the outputs do not depend on it
        return side1.directions.new_zeros(())
    if name not in side1.fallback and len(uses1) == 1 and isinstance(uses1[0], DenseUse):
        delta1, delta2 = side1.deltas[uses1[0].edge], side2.deltas[uses2[0].edge]
        if delta1.dim() == 3:
            return gram(uses1[0], uses2[0], delta1, delta2, trace)
    return inner_products(side1.gradients(name), side2.gradients(name), trace)


def _floating_dtype(net: nn.Module) -> torch.dtype:
    dtypes: Iterator[torch.dtype] = (p.dtype for p in net.parameters() if p.requires_grad)
    dtype = next(dtypes, None)
    if dtype is None:
        raise InvalidValue("net", type(net).__name__, "a network with parameters that require gradients")
    return dtype


def _cast(x: Tensor, dtype: torch.dtype) -> Tensor:
    return x.detach().to(dtype) if x.is_floating_point() else x.detach()
