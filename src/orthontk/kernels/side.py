"""One block of examples after its forward and backward pass: everything that its tiles are made of."""

from collections import defaultdict
from dataclasses import dataclass

from torch import Tensor, nn

from orthontk.kernels.backward import cotangents, output_gradients
from orthontk.kernels.fallback import functional_gradients
from orthontk.kernels.forward import record
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.plan import Plan
from orthontk.kernels.uses import Use, kinds_of


class UnlikePasses(Exception):
    """Examples use the parameters in other ways than those that the plan was made from."""


@dataclass
class Side:
    """The uses of each parameter, the δ of each z, and the gradients that `torch.func` computed."""

    uses: dict[str, list[Use]]
    deltas: list[Tensor | None]  # each (N, A, *z_shape)
    functional: dict[str, Tensor]  # each (N, A, *shape)


def make_side(net: nn.Module, tensors: StandIns, plan: Plan, x: Tensor, outputs: str) -> Side:
    """The passes over examples x.

    Raises:
        UnlikePasses: the network chooses its operations by the examples.
    """
    recorded = record(net, tensors, x, plan.recorded)
    directions = cotangents(outputs, *recorded.outputs.shape, like=recorded.outputs)
    deltas = output_gradients(recorded, directions)
    uses = defaultdict(list)
    for use in recorded.uses:
        if deltas[use.edge] is not None:
            uses[use.parameter].append(use)
    names = plan.parameters("torch.func")
    if kinds_of(uses, plan.recorded) != plan.kinds or not recorded.unrecorded <= set(names):
        raise UnlikePasses
    return Side(uses, deltas, functional_gradients(net, tensors, names, x, directions) if names else {})
