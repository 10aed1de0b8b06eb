"""Records, during a forward pass, where and how parameters are used.

Every torch function that the forward pass calls goes through `Recorder`. Where a parameter meets an operation of a
known kind (`operations.py`), the operation is given a detached copy, its inputs are kept, and the place of its result z
in the autograd graph is noted. All other operations see the parameter itself. Hence a parameter that the outputs still
depend on after the pass has a use that was not recorded: exactly those are left to the fallback.

A tensor that is computed from parameters alone, such as the weight of a parametrized layer, is recorded in the same way
where it meets the examples; its own gradient is then pulled back to the parameters (`pulling_back.py`).

A forward pass that differentiates by itself, for forces from an energy, say, would miss the detached parameters in its
own gradients; of such a network nothing is recorded, and neither is one that may reorder examples (`reordering`).
"""

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from orthontk.checks import InvalidValue
from orthontk.kernels.graph import leaves_of
from orthontk.kernels.parameter_functions import ParameterFunction
from orthontk.kernels.reordering import may_reorder
from orthontk.kernels.saved import grows_with, is_dense
from orthontk.kernels.uses import Use

HALF_PRECISION = (torch.bfloat16, torch.float16)
NUMBERS_OF = {Tensor.item, Tensor.tolist, Tensor.__float__, Tensor.__int__, Tensor.__bool__, Tensor.__index__}
DETACH_IN_PLACE = {Tensor.detach_, torch.detach_}
DIFFERENTIATES = (torch.autograd.grad, torch.autograd.backward, Tensor.backward)


class CannotRecord(Exception):
    """The forward pass does what a recorder would disturb."""


@dataclass
class Reference:
    """A tensor that is a parameter, up to a factor, a transposition and a change of shape; until it is written to."""

    tensor: Tensor
    parameter: str
    shape: torch.Size
    version: int
    scale: float = 1.0
    transposed: bool = False
    reshaped: bool = False

    @property
    def is_matrix(self) -> bool:
        return len(self.shape) == 2 and not self.reshaped

    @property
    def is_intact(self) -> bool:
        return self.tensor._version == self.version and self.tensor.requires_grad  # `detach_` is no new version


class Recorder(TorchFunctionMode):
    """Collects the uses of the trainable stand-ins and the graph positions of the z they enter.

    Args:
        trainable: stand-ins by name; only these are recorded.
        examples: N; a tensor whose first axis is not that long holds no batch of examples.
        handlers: by torch function, what records its uses.
        batches: by parameter, whether what it met each time was a batch of examples, as a pass over a few showed whose
            number is no other length. None in that pass, where a first axis of that length is the examples'.

    Attributes:
        uses: one entry for each recorded use.
        met: as `batches`, of this pass.
        edges: the positions of the z, to ask the autograd engine for ∂f/∂z.
        kept: by edge, the h that the gradients through it need, and its version.
        functions: the functions of parameters alone whose results may be used like parameters, by name.
        hides_gradients: whether something was made of tensors with gradients that has none, so that the outputs may
            depend on what gradients do not show.
        largest_bytes: the largest result of an operation on the few examples, also where autograd keeps nothing.

    Raises:
        CannotRecord: from within the forward pass over a few, if it differentiates or may reorder examples.
    """

    def __init__(
        self,
        trainable: dict[str, Tensor],
        examples: int,
        handlers: dict[Callable, Callable],
        batches: dict[str, list[bool]] | None = None,
    ) -> None:
        super().__init__()
        self.trainable, self.examples, self.handlers, self.batches = trainable, examples, handlers, batches
        self.met: dict[str, list[bool]] = defaultdict(list)
        self.hides_gradients = False
        self.largest_bytes = 0
        self.functions: dict[str, ParameterFunction] = {}
        self.of_parameters: dict[int, tuple[Tensor, int]] = {}  # by identity: computed from them alone; its version
        self.uses: list[Use] = []
        self.edges: list[GradientEdge] = []
        self.kept: dict[int, tuple[Tensor, int]] = {}
        self.merged: dict[int, tuple[Tensor, int]] = {}  # by identity, as `note_merged`; its version
        # Keyed by identity; the Reference holds the tensor, so that no other can take its address.
        self.references = {id(p): Reference(p, name, p.shape, p._version) for name, p in trainable.items()}

    def __torch_function__(self, func: Callable, types, args=(), kwargs=None):
        kwargs, result = kwargs or {}, NotImplemented
        if self.references and (func in DIFFERENTIATES or self._may_reorder(func, args, kwargs)):
            raise CannotRecord
        if (handler := self.handlers.get(func)) and _is_known(handler, args, kwargs) and torch.is_grad_enabled():
            result = handler(self, func, *args, **kwargs)
        if result is NotImplemented:
            alone = self._are_of_parameters((args, kwargs))
            result = func(*args, **kwargs)
            if alone:
                self._note_of_parameters(args[0] if result is None else result)  # as of `weight[0] = 0`
        self.hides_gradients = self.hides_gradients or _hides_gradient(func, args, kwargs, result)
        if isinstance(result, Tensor):
            if result.dtype in HALF_PRECISION:
                accepted = "a network that keeps its precision; take torch.autocast and casts out of its forward"
                raise InvalidValue("net", f"{result.dtype} inside the forward pass", accepted)
            is_new = self.batches is None and is_dense(result) and not result._is_view()
            if is_new and grows_with(self.examples, result):
                self.largest_bytes = max(self.largest_bytes, result.numel() * result.element_size())
        return result

    def _may_reorder(self, func: Callable, args: tuple, kwargs: dict) -> bool:
        """In the pass over a few, which decides for all: what is as long as a block of examples may be no batch."""
        return self.batches is None and may_reorder(func, args, kwargs, self.examples)

    def reference(self, tensor: object) -> Reference | None:
        if not isinstance(tensor, Tensor):
            return None
        found = self.references.get(id(tensor))
        if found and found.is_intact:
            return found
        return self._reference_to_function(tensor) if self._is_of_parameters(tensor) else None

    def _reference_to_function(self, tensor: Tensor) -> Reference:
        """Numbered among those of the same parameters: a pass that records fewer parameters gives it the same name."""
        leaves = leaves_of(tensor.grad_fn)
        parameters = tuple(name for name, p in self.trainable.items() if id(p) in leaves)
        count = sum(function.parameters == parameters for function in self.functions.values())
        name = f"function {count} of {', '.join(parameters)}"
        self.functions[name] = ParameterFunction(name, tensor.shape, get_gradient_edge(tensor), parameters)
        self.references[id(tensor)] = Reference(tensor, name, tensor.shape, tensor._version)
        return self.references[id(tensor)]

    def _is_of_parameters(self, tensor: Tensor) -> bool:
        noted = self.of_parameters.get(id(tensor))
        return noted is not None and noted[1] == tensor._version and tensor.requires_grad

    def _are_of_parameters(self, arguments: object) -> bool:
        """Whether what is computed from these depends on some parameter, and on no example."""
        some = False
        for tensor in _tensors(arguments):
            reference = self.references.get(id(tensor))
            if (reference and reference.is_intact) or self._is_of_parameters(tensor):
                some = True
            elif tensor.requires_grad or (self.batches is None and self._has_examples(tensor)):
                return False
        return some

    def _note_of_parameters(self, result: object) -> None:
        for tensor in _tensors(result):
            if tensor.grad_fn is not None and not (self.batches is None and self._has_examples(tensor)):
                self.of_parameters[id(tensor)] = tensor, tensor._version

    def derive(self, tensor: Tensor, origin: Reference, *, scale=1.0, transposes=False, reshapes=False) -> Tensor:
        """Notes that `tensor` is `origin` times `scale`, transposed, or in another shape."""
        self.references[id(tensor)] = replace(
            origin,
            tensor=tensor,
            version=tensor._version,
            scale=origin.scale * scale,
            transposed=origin.transposed != transposes,
            reshaped=origin.reshaped or reshapes,
        )
        return tensor

    def record(self, z: Tensor, h: Tensor | None = None) -> tuple[Tensor, int]:
        """Notes z's place in the graph, and the h that a parameter met there, if the parameter's gradient needs it.

        Returns what the network goes on with, and the index of δ = ∂f/∂z.
        """
        leaf, edge = not z.requires_grad, len(self.edges)
        self.edges.append(get_gradient_edge(z.requires_grad_() if leaf else z))
        if h is not None and not h.is_inference():  # to which nothing can write
            self.kept[edge] = h, h._version
        if leaf:  # an in-place activation may not write to one
            return z.clone(), edge
        # Writing to a view changes the graph before it, and of what was read before, δ would not go through `edge`.
        return torch.ops.aten._unsafe_view(z, z.shape) if z._is_view() else z, edge

    @property
    def overwritten(self) -> set[int]:
        """Edges whose h the network has written to since.

        Where autograd keeps h for a parameter's gradient it refuses to go back; a detached parameter has none.
        """
        return {edge for edge, (h, version) in self.kept.items() if h._version != version}

    def is_batch(self, tensor: Tensor, reference: Reference) -> bool:
        """Whether what a parameter meets is a batch of examples.

        A position or a buffer may be as long as a block of examples: where the few told them apart, they decide.
        """
        met = self.met[reference.parameter]
        known = self.batches.get(reference.parameter, []) if self.batches else []
        met.append(self._has_examples(tensor) and (len(met) >= len(known) or known[len(met)]))
        return met[-1]

    def note_merged(self, result: Tensor, batch: Tensor) -> None:
        """Notes that `result` is `batch`, if that is one, with all axes but the last merged into one."""
        positions_merged = result.dim() == 2 < batch.dim() and result.shape[1] == batch.shape[-1]
        if positions_merged and self._has_examples(batch) and not result.is_inference():  # which has no version
            self.merged[id(result)] = result, result._version

    def unmerged(self, tensor: Tensor) -> Tensor | None:
        """What was merged to `tensor`, (N·P, features), as (N, P, features); None for any other tensor."""
        if (found := self.merged.get(id(tensor))) is None or tensor._version != found[1]:
            return None
        return tensor.unflatten(0, (self.examples, -1))

    def _has_examples(self, tensor: Tensor) -> bool:
        of_parameters = id(tensor) in self.references or id(tensor) in self.of_parameters
        return tensor.dim() >= 1 and tensor.shape[0] == self.examples and not of_parameters


def detached(reference: Reference | None, tensor: Tensor | None) -> Tensor | None:
    """What an operation is given in place of a parameter whose use is recorded."""
    return tensor.detach() if reference else tensor


def described(reference: Reference, z: Tensor, edge: int, scale: float = 1.0) -> dict:
    """The attributes that every `Use` has."""
    return {
        "parameter": reference.parameter,
        "shape": reference.shape,
        "scale": reference.scale * scale,
        "edge": edge,
        "z_shape": z.shape[1:],
    }


def aligned(shape: torch.Size, z: Tensor) -> tuple[int, ...]:
    """`shape` as broadcasting sees it against one example of z."""
    return (1,) * (z.dim() - 1 - len(shape)) + tuple(shape[max(0, len(shape) - z.dim() + 1) :])


def _hides_gradient(func: Callable, args: tuple, kwargs: dict, result: object) -> bool:
    if isinstance(result, Tensor) and result.requires_grad:  # the usual case, told at once
        return False
    if func in DETACH_IN_PLACE:
        return True
    without = func in NUMBERS_OF or any(not tensor.requires_grad for tensor in _tensors(result))
    return without and any(tensor.requires_grad for tensor in _tensors((args, kwargs)))


def _tensors(value: object) -> Iterator[Tensor]:
    """Those among arguments or results, also in lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _is_known(handler: Callable, args: tuple, kwargs: dict) -> bool:
    if any(isinstance(argument, Tensor) and argument.is_complex() for argument in args):
        return False
    return _accepts(handler, 2 + len(args), tuple(kwargs))


@functools.cache
def _accepts(handler: Callable, positional: int, keywords: tuple[str, ...]) -> bool:
    """Whether the handler knows all arguments of such a call; `out=`, say, is none of them."""
    try:
        inspect.signature(handler).bind(*[None] * positional, **dict.fromkeys(keywords))
    except TypeError:
        return False
    return True
