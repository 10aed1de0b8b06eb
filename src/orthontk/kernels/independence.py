"""Whether a network treats examples apart: without that, no kernel of pairs of examples exists.

Asked of the middle one of a few examples, so that both what runs forward through a batch and what runs backward shows.
"""

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.kernels.forward import Record
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.refusals import complete_backward


def gradients_of_one_example(recorded: Record, probe: Tensor) -> list[Tensor | None]:
    """Gradients of the middle example's outputs with respect to each z, None where they do not depend on it.

    Raises:
        InvalidValue: the outputs depend on examples before or after it; as `complete_backward`.
    """
    outputs, edges = recorded.outputs, recorded.edges
    inputs = [*edges, *([probe] if probe.requires_grad else [])]
    if not outputs.requires_grad or not inputs:
        return [None] * len(edges)
    direction = torch.zeros_like(outputs)
    direction[len(probe) // 2] = torch.linspace(1, 2, outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    with complete_backward():
        gradients = torch.autograd.grad(outputs, inputs, direction, allow_unused=True)
    if probe.requires_grad and gradients[-1] is not None and reaches_others(gradients[-1]):
        raise _mixes_examples()
    return list(gradients[: len(edges)])


def require_backward(net: nn.Module, tensors: StandIns, probe: Tensor) -> None:
    """Refuses what torch cannot differentiate with respect to the parameters, which a recorded pass may not show."""
    outputs = tensors.call(net, probe)
    if outputs.requires_grad:
        with complete_backward():
            torch.autograd.grad(outputs.sum(), [*tensors.trainable.values()], allow_unused=True)


def reaches_others(gradient: Tensor) -> bool:
    """Whether examples other than the middle one have a gradient; what is not finite is 0 times what is not."""
    middle = len(gradient) // 2
    others = gradient[:middle], gradient[middle + 1 :]
    return any(part.any() and bool(((part != 0) & part.isfinite()).any()) for part in others)


def require_independent_values(net: nn.Module, tensors: StandIns, probe: Tensor, outputs: Tensor) -> None:
    """Refuse what gradients do not show: statistics of the batch taken without them, and inputs that are integers.

    The middle example stays where it is in a batch of as many, so the arithmetic is the same unless it sees the others.
    """
    middle = len(probe) // 2

    def outputs_of_middle(examples: Tensor) -> Tensor:
        return tensors.call(net, examples)[middle].detach()

    among_equals = outputs_of_middle(probe.detach()[middle].expand_as(probe).contiguous())

    def differs(among_others: Tensor) -> bool:
        finite = among_others.isfinite()
        rounding = torch.where(finite, among_others.abs(), 0).max() * torch.finfo(among_others.dtype).eps ** 0.5
        return bool((finite & ~((among_others - among_equals).abs() <= rounding)).any())

    if differs(outputs[middle]) and differs(outputs_of_middle(probe.detach())):  # a recorded pass rounds otherwise
        raise _mixes_examples()


def _mixes_examples() -> InvalidValue:
    return InvalidValue("net", "outputs that depend on other examples", "a network that treats examples apart")
