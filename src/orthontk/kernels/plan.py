"""Decides, from a forward and backward pass over a few examples, how each parameter will be treated."""

import math
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.kernels import costs
from orthontk.kernels.backward import batches_well
from orthontk.kernels.costs import Cost, Problem
from orthontk.kernels.forward import Record, graph_nodes, record
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.refusals import no_recomputation
from orthontk.kernels.uses import Use

PROBE = 2  # examples


@dataclass
class Share:
    """A part of the kernel that is contracted in one go.

    Attributes:
        parameters: one parameter, or a dense weight and the bias that is added to the same z.
        path: "input gram", "per-example gradients", or "torch.func".
        uses: of the (first) parameter, in the order of the forward pass; empty for "torch.func".
        entries: K, numbers in the parameters.
    """

    parameters: list[str]
    path: str
    uses: list[Use] = field(repr=False)
    entries: int

    def cost(self, problem: Problem, outputs: int) -> Cost:
        if self.path == "torch.func":
            return costs.functional(self.entries, outputs, problem)
        if self.path == "input gram":
            return costs.input_gram(self.uses, problem)
        return costs.per_example_gradients(self.uses, problem)


@dataclass
class Plan:
    """What the passes over a few examples showed.

    Attributes:
        shares: in the order of the network's parameters.
        features: O, entries of an output.
        directions: A, O or 1.
        batched: whether all directions go backward in one pass.
        saved_bytes: what autograd keeps for one example.
        largest_bytes: the largest tensor it keeps, for one example.
    """

    shares: list[Share]
    features: int
    directions: int
    batched: bool
    saved_bytes: int
    largest_bytes: int

    def parameters(self, path: str | None = None) -> list[str]:
        return [name for share in self.shares if path in (None, share.path) for name in share.parameters]

    @property
    def recorded(self) -> set[str]:
        return set(self.parameters()) - set(self.parameters("torch.func"))


def make_plan(net: nn.Module, tensors: StandIns, x: Tensor, outputs: str, problem_of) -> Plan:
    """Runs a few examples of `x` through the network and chooses the cheapest exact path for each parameter.

    Args:
        problem_of: maps A, the number of directions, to the sizes that the choice is made for.

    Raises:
        InvalidValue: the network mixes examples, or one pass of it was refused.
    """
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.dim() and tensor.shape[0] == PROBE:
            saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size() // PROBE
        return tensor

    probe = x[torch.arange(PROBE, device=x.device) % len(x)]
    if probe.is_floating_point():
        probe = probe.clone().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        recorded = record(net, tensors, probe)
    mixed = _mixed_edges(recorded, probe)
    features = recorded.outputs.shape[1]
    directions = 1 if outputs == "sum_of_logits" else features
    uses = defaultdict(list)
    for use in recorded.uses:
        uses[use.parameter].append(use)
    left = recorded.unrecorded | {use.parameter for use in recorded.uses if use.edge in mixed}
    _mark_first_layers(recorded, tensors)
    shares = _shares(tensors, uses, left, problem_of(directions))
    sizes = list(saved.values()) or [0]
    return Plan(shares, features, directions, batches_well(recorded.outputs), sum(sizes), max(sizes))


def _mixed_edges(recorded: Record, probe: Tensor) -> set[int]:
    """Edges whose z is not one row for each example: the first example's outputs depend on other rows too.

    Raises:
        InvalidValue: the first example's outputs depend on the other examples themselves; activation checkpointing.
    """
    outputs = recorded.outputs
    if not outputs.requires_grad:
        return set()
    direction = torch.zeros_like(outputs)
    direction[0] = torch.linspace(1, 2, outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
    inputs = [*recorded.edges, *([probe] if probe.requires_grad else [])]
    if not inputs:
        return set()
    with no_recomputation():
        gradients = torch.autograd.grad(outputs, inputs, direction, allow_unused=True)
    if probe.requires_grad:
        *gradients, of_probe = gradients
        if of_probe is not None and of_probe[1:].any():
            raise InvalidValue("net", "outputs that depend on other examples", "a network that treats examples apart")
    return {edge for edge, delta in enumerate(gradients) if delta is not None and delta[1:].any()}


def _mark_first_layers(recorded: Record, tensors: StandIns) -> None:
    """Sets `passes_back` of the uses whose h depends on no parameter."""
    parameters = {id(p) for p in tensors.trainable.values()}
    nodes = {edge.node for edge in recorded.edges}
    for use in recorded.uses:
        before = graph_nodes([parent for parent, _ in recorded.edges[use.edge].node.next_functions])
        use.passes_back = any(node in nodes or id(getattr(node, "variable", None)) in parameters for node in before)


def _shares(tensors: StandIns, uses: dict[str, list[Use]], left: set[str], problem: Problem) -> list[Share]:
    shares: list[Share] = []
    merged: set[str] = set()
    names_of_edge = defaultdict(list)
    for name, mine in uses.items():
        if len(mine) == 1 and name not in left:
            names_of_edge[mine[0].edge].append(name)
    for name, parameter in tensors.trainable.items():
        mine = uses.get(name, [])
        if name in merged or (name not in left and not mine):  # the outputs do not depend on the latter
            continue
        if name in left:
            shares.append(Share([name], "torch.func", [], parameter.numel()))
        elif _prefers_gram(mine, problem):
            bias = _bias_of(mine, names_of_edge)
            merged.update(bias)
            entries = sum(tensors.trainable[n].numel() for n in (name, *bias))
            shares.append(Share([name, *bias], "input gram", mine, entries))
        else:
            shares.append(Share([name], "per-example gradients", mine, parameter.numel()))
    order = {name: position for position, name in enumerate(tensors.trainable)}
    return sorted((s for s in shares if not set(s.parameters) <= merged), key=lambda s: order[s.parameters[0]])


def _prefers_gram(uses: list[Use], problem: Problem) -> bool:
    if not costs.has_input_gram(uses):
        return False
    return costs.input_gram(uses, problem).weight <= costs.per_example_gradients(uses, problem).weight


def _bias_of(weight_uses: list[Use], names_of_edge: dict[int, list[str]]) -> list[str]:
    """The bias, if any, that enters the same z as a dense weight of one position: its δ are the weight's."""
    if len(weight_uses) != 1 or math.prod(weight_uses[0].z_shape[:-1]) != 1:
        return []
    (use,) = weight_uses
    return [name for name in names_of_edge[use.edge] if name != use.parameter][:1]
