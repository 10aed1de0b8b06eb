"""Decides, from a forward and backward pass over a few examples, how each parameter will be treated."""

import itertools
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthontk.kernels.backward import batches_well, copies_of
from orthontk.kernels.forward import Record, record
from orthontk.kernels.graph import leaves_of
from orthontk.kernels.independence import (
    gradients_by_example,
    require_backward,
    require_independent_values,
    require_same_in_another_batch,
)
from orthontk.kernels.out_of_memory import raise_out_of_memory
from orthontk.kernels.parameter_functions import ParameterFunction
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.recorder import CannotRecord
from orthontk.kernels.refusals import taking
from orthontk.kernels.saved import Results, Saved, is_dense, noting
from orthontk.kernels.shares import Share, recorded_in, shares_of
from orthontk.kernels.uses import Use, kinds_of


@dataclass
class Plan:
    """What the passes over a few examples showed.

    Attributes:
        shares: in the order of the network's parameters.
        features: O, entries of an output.
        directions: A, O or 1.
        batched: whether all directions go backward in one pass.
        copies: how much a pass holds at a time for one direction, in tensors of the largest size.
        probed: how many examples these were.
        hides_gradients: as in `Recorder`; True for what cannot be recorded.
        saved_bytes: what autograd keeps for one example.
        largest_bytes: the largest tensor it keeps, for one example.
        result_bytes: the largest result of an operation, whether autograd keeps it or not, for one example.
        shared_bytes: the largest tensor it keeps that no example changes, and that is no parameter or buffer.
        buffer_bytes: of the copies of the network's buffers, of which every pass has its own.
        kinds: of the uses of each recorded parameter and function, in the order of the forward pass.
        functions: by name, the parameters that each depends on.
        batches: as in `Recorder`.
    """

    shares: list[Share]
    features: int
    directions: int
    batched: bool
    copies: int
    probed: int
    hides_gradients: bool
    saved_bytes: int
    largest_bytes: int
    result_bytes: int
    shared_bytes: int
    buffer_bytes: int
    kinds: dict[str, list[tuple]]
    functions: dict[str, tuple[str, ...]]
    batches: dict[str, list[bool]]

    def parameters(self, path: str) -> list[str]:
        return [name for share in self.shares if share.path == path for name in share.parameters]

    @property
    def recorded(self) -> set[str]:
        """Parameters."""
        return recorded_in(self.shares)

    @property
    def recorded_names(self) -> list[str]:
        """Parameters, and functions of them."""
        return [*self.recorded, *self.functions]


def make_plan(
    net: nn.Module, tensors: StandIns, x: Tensor, outputs: str, sizes_of, structured: bool = True, inputs: str = "x1"
) -> Plan:
    """Runs a few examples of `x` through the network and chooses the cheapest exact path for each parameter.

    Args:
        sizes_of: maps A, the number of directions, to the sizes that the choice is made for.
        structured: False leaves every parameter to the fallback, as for a network that cannot be recorded.
        inputs: what `x` is refused as.

    Raises:
        InvalidValue: the network mixes examples, does not take the inputs, or one pass of it was refused.
    """
    probe = _few_of(x, tensors)
    saved = Saved()
    with taking(net, inputs, x):
        recorded = _probe(net, tensors, probe, saved) if structured else None
        if recorded is None:
            saved.clear()
            structured, recorded = False, _unstructured(net, tensors, probe, saved)
    values = recorded.outputs.detach()
    require_same_in_another_batch(net, tensors, probe, values)
    reached, mixed = gradients_by_example(recorded, probe)
    features = recorded.outputs.shape[1]
    directions = 1 if outputs == "sum_of_logits" else features
    hides_gradients = recorded.hides_gradients or not structured
    if mixed or hides_gradients or not probe.requires_grad:
        require_independent_values(net, tensors, probe, values)
    uses = defaultdict(list)
    for use in recorded.uses:
        if use.edge in reached:
            uses[use.parameter].append(use)
    unfit = mixed | (recorded.overwritten & reached)
    left = recorded.unrecorded | {use.parameter for use in recorded.uses if use.edge in unfit}
    functions = _functions(recorded.functions, uses, left)
    left = left if structured else set(tensors.trainable)
    if left:
        require_backward(net, tensors, probe)
    shares = shares_of(tensors, uses, functions, left, sizes_of(directions))
    saved.forget(recorded.derived, [*(tensor for _, tensor in tensors.named()), *_constant(recorded, tensors, shares)])
    sizes = [total // len(probe) for total in saved.of_examples.values()] or [0]
    batched = batches_well(recorded.outputs)
    parameters_of = {function.name: function.parameters for function in functions}
    return Plan(
        shares=shares,
        features=features,
        directions=directions,
        batched=batched,
        copies=copies_of(recorded.outputs, batched),
        probed=len(probe),
        hides_gradients=hides_gradients,
        saved_bytes=sum(sizes),
        largest_bytes=max(sizes),
        result_bytes=recorded.largest_bytes // len(probe),
        shared_bytes=max(saved.shared.values(), default=0),
        buffer_bytes=sum(buffer.nbytes for buffer in tensors.buffers.values() if is_dense(buffer)),
        kinds=kinds_of(uses, [*recorded_in(shares), *parameters_of]),
        functions=parameters_of,
        batches=recorded.batches,
    )


def _constant(recorded: Record, tensors: StandIns, shares: list[Share]) -> list[Tensor]:
    """What is made of parameters whose gradients `torch.func` does not take."""
    names = recorded_in(shares)
    varying = {id(p) for name, p in tensors.trainable.items() if name not in names}
    return [tensor for tensor in recorded.derived if varying.isdisjoint(leaves_of(tensor.grad_fn))]


def _few_of(x: Tensor, tensors: StandIns) -> Tensor:
    """As many examples as no axis of x or of a parameter is long, for an axis of that length to be theirs.

    They require gradients where they can.
    """
    lengths = {*x.shape, *(length for _, tensor in tensors.named() for length in tensor.shape)}
    size = next(number for number in itertools.count(3) if number not in lengths)
    probe = x[torch.arange(size, device=x.device) % len(x)]
    return probe.requires_grad_() if probe.is_floating_point() else probe


def _functions(
    recorded: list[ParameterFunction], uses: dict[str, list[Use]], left: set[str]
) -> list[ParameterFunction]:
    """Those that the outputs depend on and whose parameters are all recorded; adds the other ones' to `left`."""
    functions = [function for function in recorded if function.name in uses]
    while broken := [f for f in functions if f.name in left or not left.isdisjoint(f.parameters)]:
        left |= {name for function in broken for name in function.parameters}
        functions = [function for function in functions if function not in broken]
    return functions


def _probe(net: nn.Module, tensors: StandIns, probe: Tensor, saved: Saved) -> Record | None:
    """The record, or None for a network that cannot be recorded; notes what autograd keeps."""
    try:
        with noting(saved, len(probe)):
            return record(net, tensors, probe)
    except CannotRecord:
        return None
    except RuntimeError as error:  # from transforms such as `torch.func.grad` inside the network
        raise_out_of_memory(error)
        return None


def _unstructured(net: nn.Module, tensors: StandIns, probe: Tensor, saved: Saved) -> Record:
    """A record without uses; notes the same, or with transforms inside, where torch does not say it, all results."""
    try:
        with noting(saved, len(probe)):
            return record(net, tensors, probe, names=())
    except RuntimeError as error:
        raise_out_of_memory(error)
    saved.clear()
    with Results() as made:
        recorded = record(net, tensors, probe, names=())
    for tensor in made.tensors:
        saved.note(tensor, len(probe))
    return recorded
