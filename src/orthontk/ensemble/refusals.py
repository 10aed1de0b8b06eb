"""Networks and losses whose replicas would not train as their single runs do, refused before anything is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.ensemble.stack import Gradients, StackedNetwork
from orthontk.kernels.refusals import no_random_numbers
from orthontk.run.optimization import loss_to_try

PASSES = 2  # a memory shows in the second
IN_PLACE = "a network whose tensors are parameters, or buffers written in place, without another memory"


def require_trains_as_alone(template: nn.Module, network: nn.Module, loss: nn.Module, x: Tensor, y: Tensor) -> None:
    """Compare training passes of two replicas in a stack, both `network`, with those of the network by itself.

    Args:
        template: what the stack takes its architecture from.
        network: a replica's; its buffers, and what else it keeps, are changed.
        x, y: some examples, on the CPU.

    Raises:
        InvalidValue: the network cannot be copied, something draws random numbers, or replicas differ from the network
            by itself: it has tensors that are neither parameters nor buffers, or it or the loss has a memory.
    """
    x, stack = x.to(next(network.parameters()).dtype), _stack_of_two(template, network)
    loss, loss_of_stack = (loss_to_try(loss, x.dtype) for _ in range(2))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for _ in range(PASSES):
        with _no_random_numbers("model", network, "a network whose forward pass draws no random numbers"):
            outputs = network(x)
        with _no_random_numbers("loss", loss, "a loss that draws no random numbers"):
            value = loss(outputs, y)
        gradients = torch.autograd.grad(value, trained, allow_unused=True)
        replicas = zip(*stack.gradients(x, y, loss_of_stack, shared=True), strict=True)
        for its_outputs, its_value, its_gradients in replicas:
            _require_alike("model", network, [outputs], [its_outputs], IN_PLACE)
            _require_alike("loss", loss, [value], [its_value], "a loss without a memory")
            _require_alike("model", network, gradients, its_gradients, IN_PLACE)


def _stack_of_two(template: nn.Module, network: nn.Module) -> StackedNetwork:
    try:
        stack = StackedNetwork(template, replicas=2, batched=False)
    except RuntimeError as error:  # of copy.deepcopy, for tensors that were computed
        accepted = f"a network that copy.deepcopy takes, in an ensemble; it says: {str(error).splitlines()[0]}"
        raise InvalidValue("model", type(network).__name__, accepted) from error
    for row in range(stack.replicas):
        stack.fill(row, network)
    return stack


@contextmanager
def _no_random_numbers(key: str, module: nn.Module, accepted: str) -> Iterator[None]:
    """What replicas draw would depend on how many are trained together."""
    try:
        with no_random_numbers(torch.device("cpu")):
            yield
    except InvalidValue as error:
        raise InvalidValue(key, type(module).__name__, f"{accepted}, in an ensemble") from error


def _require_alike(key: str, module: nn.Module, ones: Gradients, others: Gradients, accepted: str) -> None:
    """None, as the gradient of what is not used, is like None alone."""
    for one, other in zip(ones, others, strict=True):
        if one is None or other is None:
            alike = one is other
        else:
            alike = torch.allclose(one, other, rtol=1e-4, atol=1e-6, equal_nan=True)
        if not alike:
            raise InvalidValue(key, type(module).__name__, f"{accepted}, in an ensemble")
