"""The forward pass: outputs, what the recorder saw, and what it did not."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from orthontk.kernels.operations import HANDLERS
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.recorder import Recorder
from orthontk.kernels.uses import Use


@dataclass
class Record:
    """A forward pass: outputs (N, O), the uses, and the parameters with a use that was not recorded."""

    outputs: Tensor
    uses: list[Use]
    edges: list[GradientEdge]
    unrecorded: set[str]


def record(net: nn.Module, tensors: StandIns, x: Tensor, names: Collection[str] | None = None) -> Record:
    """Runs net(x) and records how it uses its trainable parameters, or those of them that `names` holds."""
    recorded = {name: p for name, p in tensors.trainable.items() if names is None or name in names}
    with torch.enable_grad(), Recorder(recorded, len(x), HANDLERS) as recorder:
        outputs = tensors.call(net, x)
    reached = _leaves(outputs)
    unrecorded = {name for name, p in tensors.trainable.items() if id(p) in reached}
    return Record(outputs, recorder.uses, recorder.edges, unrecorded)


def _leaves(outputs: Tensor) -> set[int]:
    """Identities of the leaf tensors that the outputs depend on."""
    nodes, seen, leaves = [outputs.grad_fn], set(), set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            leaves.add(id(variable))
        nodes.extend(parent for parent, _ in node.next_functions)
    return leaves
