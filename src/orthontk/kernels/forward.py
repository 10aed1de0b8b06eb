"""The forward pass: outputs, what the recorder saw, and what it did not."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from orthontk.checks import InvalidValue
from orthontk.kernels.graph import leaves_of
from orthontk.kernels.operations import HANDLERS
from orthontk.kernels.parameter_functions import ParameterFunction
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.recorder import Recorder
from orthontk.kernels.uses import Use


@dataclass
class Record:
    """A forward pass: outputs (N, O), the uses, and the parameters with a use that was not recorded.

    Attributes:
        overwritten: edges whose h the network wrote to, so that the uses there do not hold what entered z.
        derived: tensors that are a parameter in another form, or made of parameters alone.
        functions: of parameters alone, whose results were used like parameters.
        batches: as in `Recorder`, what this pass showed.
        hides_gradients: as in `Recorder`.
        largest_bytes: as in `Recorder`.
    """

    outputs: Tensor
    uses: list[Use]
    edges: list[GradientEdge]
    unrecorded: set[str]
    overwritten: set[int]
    derived: list[Tensor]
    functions: list[ParameterFunction]
    batches: dict[str, list[bool]]
    hides_gradients: bool
    largest_bytes: int


def record(
    net: nn.Module,
    tensors: StandIns,
    x: Tensor,
    names: Collection[str] | None = None,
    batches: dict[str, list[bool]] | None = None,
) -> Record:
    """Runs net(x) and records how it uses those of its trainable parameters that `names` holds.

    Without `names`, x are a few examples to probe the network with, and all are recorded; without `batches` (see
    `Recorder`) their number is no other length.
    """
    recorded = {name: p for name, p in tensors.trainable.items() if names is None or name in names}
    with torch.enable_grad(), Recorder(recorded, len(x), HANDLERS, batches) as recorder:
        outputs = tensors.call(net, x)
    leaves = leaves_of(outputs.grad_fn)
    if any(id(p) in leaves for p in net.parameters()):
        accepted = "a network that finds its parameters as attributes of modules, where stand-ins can take their place"
        raise InvalidValue("net", type(net).__name__, accepted)
    unrecorded = {name for name, p in tensors.trainable.items() if id(p) in leaves}
    derived = [reference.tensor for reference in recorder.references.values()]
    derived += [tensor for tensor, _ in recorder.of_parameters.values()]
    used = {use.parameter for use in recorder.uses}
    functions = [function for name, function in recorder.functions.items() if name in used]
    return Record(
        outputs=outputs,
        uses=recorder.uses,
        edges=recorder.edges,
        unrecorded=unrecorded,
        overwritten=recorder.overwritten,
        derived=derived,
        functions=functions,
        batches=recorder.met,
        hides_gradients=recorder.hides_gradients,
        largest_bytes=recorder.largest_bytes,
    )
