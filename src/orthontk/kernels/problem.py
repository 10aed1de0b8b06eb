"""The checked arguments of a kernel's computation, and what is decided from them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue, integer, one_of
from orthontk.kernels import ranks
from orthontk.kernels.costs import Sizes
from orthontk.kernels.grain import Grain, grain_of
from orthontk.kernels.grid import DEFAULT_MEMORY_LIMIT, Grid, make_grid
from orthontk.kernels.parameters import StandIns, in_type, stand_ins
from orthontk.kernels.plan import Plan, make_plan
from orthontk.kernels.refusals import check_network
from orthontk.kernels.tile import computed_pairs

OUTPUTS = ("full", "trace", "sum_of_logits")


@dataclass
class NTKProblem:
    """The checked arguments of a call, and what is decided from them.

    Attributes:
        description: of the network before any pass, which may set its attributes; where it is needed.
        inputs: what the caller's function calls x1.
    """

    net: nn.Module
    tensors: StandIns
    x1: Tensor
    x2: Tensor | None
    outputs: str
    memory_limit: int
    dtype: torch.dtype
    plan: Plan | None = None
    grid: Grid | None = None
    description: str = ""
    inputs: str = "x1"

    @property
    def device(self) -> torch.device:
        return self.x1.device

    @property
    def grain(self) -> Grain:
        return grain_of(self.device, self.memory_limit)

    @property
    def trace(self) -> bool:
        return self.outputs == "trace"

    def make_plan(self, structured: bool = True) -> None:
        """Of x2 another plan where its examples have another shape; what uses parameters otherwise is not structured.

        The larger examples decide what the computation needs.
        """
        self.plan = self._plan_of(self.x1, self.inputs, structured)
        if self.x2 is None or (self.x2.shape[1:], self.x2.dtype) == (self.x1.shape[1:], self.x1.dtype):
            return
        other = self._plan_of(self.x2, "x2", structured)
        if other.features != self.plan.features:
            accepted = f"inputs with as many outputs as x1, {self.plan.features}; found {other.features}"
            raise InvalidValue("x2", tuple(self.x2.shape), accepted)
        if structured and (other.kinds, other.functions) != (self.plan.kinds, self.plan.functions):
            self.make_plan(structured=False)
        elif other.saved_bytes > self.plan.saved_bytes:
            self.plan = other

    def _plan_of(self, x: Tensor, inputs: str, structured: bool) -> Plan:
        return make_plan(self.net, self.tensors, x, self.outputs, self.sizes, structured, inputs)

    def make_grid(self) -> None:
        sizes, world = self.sizes(self.plan.directions), ranks.rank_and_world()[1]
        self.grid = make_grid(self.plan, sizes, self.memory_limit, self.grain, shared_by=world)

    def sizes(self, directions: int) -> Sizes:
        """The sizes that costs are counted for, as if the kernel were one tile."""
        (n1, n2), same = self.examples, self.x2 is None
        pairs = computed_pairs(1 if self.trace else directions, n1, n2, same, self.grain.leaf_rows)
        return Sizes(n1, n2, directions, pairs, same, self.trace, self.dtype.itemsize)

    @property
    def examples(self) -> tuple[int, int]:
        return len(self.x1), len(self.x1 if self.x2 is None else self.x2)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.examples + ((self.plan.features,) * 2 if self.outputs == "full" else ())


@torch.inference_mode(False)  # Lightning validates in inference mode, whose tensors know no gradients
def prepare(
    net: nn.Module,
    x1: Tensor,
    x2: Tensor | None,
    outputs: str,
    memory_limit: int | None,
    dtype: torch.dtype | None,
    inputs: str = "x1",
) -> NTKProblem:
    """Checks the arguments; see `empirical_ntk`."""
    one_of("outputs", outputs, OUTPUTS)
    if not isinstance(net, nn.Module):
        raise InvalidValue("net", type(net).__name__, "an nn.Module")
    limit = DEFAULT_MEMORY_LIMIT if memory_limit is None else integer("memory_limit", memory_limit)
    trainable = next((p for p in net.parameters() if p.requires_grad), None)
    if trainable is None:
        raise InvalidValue("net", type(net).__name__, "a network with parameters that require gradients")
    if dtype is None:
        dtype = torch.promote_types(trainable.dtype.to_real(), torch.float32)
    if dtype not in (torch.float32, torch.float64):
        raise InvalidValue("dtype", dtype, "torch.float32, torch.float64 or None")
    for name, x in ((inputs, x1), ("x2", x2)):
        if (x is not None or name == inputs) and (not isinstance(x, Tensor) or x.dim() == 0 or len(x) == 0):
            raise InvalidValue(name, "empty" if isinstance(x, Tensor) else type(x).__name__, "a tensor of examples")
    if isinstance(net, nn.parallel.DistributedDataParallel | nn.DataParallel):
        net = net.module
    check_network(net)

    def cast(x: Tensor | None) -> Tensor | None:
        if x is None:
            return None
        x = x.clone() if x.is_inference() else x.detach()
        return in_type(x.to(trainable.device), dtype)

    return NTKProblem(net, stand_ins(net, dtype), cast(x1), cast(x2), outputs, limit, dtype, inputs=inputs)
