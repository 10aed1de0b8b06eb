"""One block of examples after its forward and backward pass: everything that its tiles are made of."""

from collections import defaultdict
from dataclasses import dataclass

from torch import Tensor, nn

from orthontk.kernels.backward import cotangents, output_gradients
from orthontk.kernels.fallback import functional_gradients
from orthontk.kernels.forward import Record, record
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.plan import Plan
from orthontk.kernels.pulling_back import pulled_back
from orthontk.kernels.refusals import complete_backward
from orthontk.kernels.shares import PULLED_BACK, TORCH_FUNC
from orthontk.kernels.uses import Use, kinds_of


class UnlikePasses(Exception):
    """Examples use the parameters in other ways than those that the plan was made from."""


@dataclass
class Side:
    """The uses of each parameter, the δ of each z, and the gradients of parameters whose uses do not give them."""

    uses: dict[str, list[Use]]
    deltas: list[Tensor | None]  # each (N, A, *z_shape)
    gradients: dict[str, Tensor]  # each (N, A, *shape)


def passes(
    net: nn.Module, tensors: StandIns, plan: Plan, x: Tensor, outputs: str
) -> tuple[Record, Tensor, list[Tensor | None]]:
    """Forward and back: the record, the directions in output space, and the δ of each z."""
    recorded = record(net, tensors, x, plan.recorded, plan.batches)
    directions = cotangents(outputs, *recorded.outputs.shape, like=recorded.outputs)
    with complete_backward():
        return recorded, directions, output_gradients(recorded, directions)


def make_side(net: nn.Module, tensors: StandIns, plan: Plan, x: Tensor, outputs: str) -> Side:
    """The passes over examples x.

    Raises:
        UnlikePasses: the network chooses its operations by the examples.
    """
    recorded, directions, deltas = passes(net, tensors, plan, x, outputs)
    uses = defaultdict(list)
    for use in recorded.uses:
        if deltas[use.edge] is not None:
            uses[use.parameter].append(use)
    functions = {function.name: function for function in recorded.functions if function.name in uses}
    names = plan.parameters(TORCH_FUNC)
    alike = kinds_of(uses, plan.recorded_names) == plan.kinds and recorded.unrecorded <= set(names)
    alike = alike and all(deltas[edge] is None for edge in recorded.overwritten)
    if not alike or {name: function.parameters for name, function in functions.items()} != plan.functions:
        raise UnlikePasses
    gradients = pulled_back(functions.values(), uses, deltas, tensors, plan.parameters(PULLED_BACK))
    if names:
        gradients |= functional_gradients(net, tensors, names, x, directions)
    return Side(uses, deltas, gradients)
