"""Whether a network treats examples apart: without that, no kernel of pairs of examples exists.

Asked of a few examples, the middle one among them, so that both what runs forward through a batch and what runs
backward shows.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from orthontk.checks import InvalidValue
from orthontk.kernels.forward import Record
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.refusals import complete_backward


def gradients_by_example(recorded: Record, probe: Tensor) -> tuple[set[int], set[int]]:
    """The edges whose z the outputs depend on, and those of them where an example's outputs reach others' rows.

    Every example is asked but the last: no other order of the batch leaves all these where they are.

    Raises:
        InvalidValue: an example's outputs depend on examples before or after it; as `complete_backward`.
    """
    outputs, edges = recorded.outputs, recorded.edges
    inputs = [*edges, *([probe] if probe.requires_grad else [])]
    if not outputs.requires_grad or not inputs:
        return set(), set()
    reached, mixed = set(), set()
    weights = torch.linspace(1, 2, outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    for example in range(len(probe) - 1):
        direction = torch.zeros_like(outputs)
        direction[example] = weights
        with complete_backward():
            gradients = torch.autograd.grad(outputs, inputs, direction, retain_graph=True, allow_unused=True)
        reached |= {edge for edge in range(len(edges)) if gradients[edge] is not None}
        mixed |= _reaching_others(gradients, example)
    if len(edges) in mixed:
        raise _mixes_examples()
    return reached, mixed


def require_backward(net: nn.Module, tensors: StandIns, probe: Tensor) -> None:
    """Refuses what torch cannot differentiate with respect to the parameters, which a recorded pass may not show."""
    outputs = tensors.call(net, probe)
    if outputs.requires_grad:
        with complete_backward():
            torch.autograd.grad(outputs.sum(), [*tensors.trainable.values()], allow_unused=True)


def _reaching_others(gradients: Sequence[Tensor | None], example: int) -> set[int]:
    """Where examples other than this one have a gradient; what is not finite is 0 times what is not."""
    others = {
        place: [part for part in (gradient[:example], gradient[example + 1 :]) if part.numel()]
        for place, gradient in enumerate(gradients)
        if gradient is not None
    }
    parts = [part for own in others.values() for part in own]
    # The usual case: asked once, as each answer of a GPU is waited for.
    if not parts or get_total_norm(parts, math.inf) == 0:
        return set()
    return {place for place, own in others.items() if any(((p != 0) & p.isfinite()).any() for p in own)}


def require_same_in_another_batch(net: nn.Module, tensors: StandIns, probe: Tensor, outputs: Tensor) -> None:
    """Refuse outputs that depend on the size of the batch, or on the place in it: in reverse, and without one.

    Also those of a recorded pass that are not the network's own.
    """

    def outputs_of(examples: Tensor, others: dict[str, Tensor] | None = None) -> Tensor:
        with torch.enable_grad():  # as the recorded pass; some networks differentiate within
            return tensors.call(net, examples, others).detach()

    elsewhere = outputs_of(probe.detach().flip(0)[1:]).flip(0)
    if not _differ(outputs[:-1], elsewhere):
        return
    unrecorded = outputs_of(probe.detach())  # which rounds otherwise
    nudged = outputs_of(probe.detach(), _nudged(tensors))
    # Outputs that cancel to nothing, and those of chaotic networks, are what rounding makes of them.
    rounding = 100 * (nudged - unrecorded).abs().nan_to_num(0, 0).max()
    if _differ(outputs, unrecorded, rounding):
        accepted = "the same; of nn.TransformerEncoder after torch.backends.mha.set_fastpath_enabled(False)"
        raise InvalidValue("net", "other outputs where gradients are taken than elsewhere", accepted)
    if _differ(unrecorded[:-1], elsewhere, rounding):
        raise _mixes_examples()


def _nudged(tensors: StandIns) -> dict[str, Tensor]:
    """Parameters and buffers, frozen ones as well, each entry by up to a rounding error larger or smaller."""
    nudged = {}
    for name, p in tensors.named():
        if p.is_floating_point() or p.is_complex():
            draws = torch.rand(p.shape, generator=torch.Generator().manual_seed(0)).to(p.device, p.real.dtype)
            nudged[name] = p.detach() * (1 + 2 * torch.finfo(p.dtype).eps * (2 * draws - 1))
    return nudged


def require_independent_values(net: nn.Module, tensors: StandIns, probe: Tensor, outputs: Tensor) -> None:
    """Refuse what gradients do not show: statistics of the batch taken without them, and inputs that are integers.

    The middle example stays where it is in a batch of as many, so the arithmetic is the same unless it sees the others.
    """
    middle = len(probe) // 2

    def outputs_of_middle(examples: Tensor) -> Tensor:
        return tensors.call(net, examples)[middle].detach()

    among_equals = outputs_of_middle(probe.detach()[middle].expand_as(probe).contiguous())
    if _differ(outputs[middle], among_equals) and _differ(  # a recorded pass rounds otherwise
        outputs_of_middle(probe.detach()), among_equals
    ):
        raise _mixes_examples()


def _differ(outputs: Tensor, others: Tensor, rounding: Tensor | float = 0.0) -> bool:
    """By more than √ε of the largest, and than `rounding`; what is not finite is not compared."""
    finite = outputs.isfinite()
    largest = torch.where(finite, outputs.abs(), 0).max()
    tolerance = largest * torch.finfo(outputs.dtype).eps ** 0.5 + rounding
    return bool((finite & ~((outputs - others).abs() <= tolerance)).any())


def _mixes_examples() -> InvalidValue:
    return InvalidValue("net", "outputs that depend on other examples", "a network that treats examples apart")
