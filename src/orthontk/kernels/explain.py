"""Shows which path each parameter's share of a kernel takes, and what it costs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from orthontk.kernels.costs import Cost
from orthontk.kernels.fallback import functional_gradients
from orthontk.kernels.held_blocks import examples_in_passes
from orthontk.kernels.problem import NTKProblem, prepare
from orthontk.kernels.shares import TORCH_FUNC
from orthontk.kernels.side import passes
from orthontk.kernels.undisturbed import undisturbed

COLUMNS = ("layer", "parameters", "path", "MFLOP", "MB moved")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        layer: the module that owns the parameters, or "network" for its passes; parameters of the network itself stand
            for themselves.
        parameters: their names in it.
        path: how their share is contracted.
        cost: FLOPs, and bytes read and written; of passes the FLOPs that PyTorch counts in those over a few examples,
            of contractions by `orthontk.kernels.costs`.
    """

    layer: str
    parameters: str
    path: str
    cost: Cost


@dataclass(frozen=True)
class Explanation:
    """What a call of `empirical_ntk` would do; prints as a table.

    Attributes:
        rows: one for the passes, one for `torch.func`'s if it is needed, and one for each share of the kernel.
        tiles: how many tiles the kernel is cut into.
        tile_examples: how many examples of x₁ and of x₂ the largest tile has.
        examples: how many there are, of both.
        examples_in_passes: how many pass through the network, each as often as it does: where `memory_limit` is small,
            tiles repeat passes.
    """

    rows: list[Row]
    tiles: int
    tile_examples: tuple[int, int]
    examples: int
    examples_in_passes: int

    @property
    def cost(self) -> Cost:
        return sum((row.cost for row in self.rows), Cost())

    def __str__(self) -> str:
        body = [self._cells(row) for row in [*self.rows, Row("total", "", "", self.cost)]]
        table = [COLUMNS, *body]
        widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
        lines = [
            "  ".join(c.ljust(w) if k < 3 else c.rjust(w) for k, (c, w) in enumerate(zip(line, widths, strict=True)))
            for line in table
        ]
        n1, n2 = self.tile_examples
        lines.append(f"tiles: {self.tiles:,}, of {n1:,} × {n2:,} examples at most")
        lines.append(f"examples in passes: {self.examples_in_passes:,} ({self.examples:,} in one tile)")
        return "\n".join(lines)

    @staticmethod
    def _cells(row: Row) -> tuple[str, ...]:
        return row.layer, row.parameters, row.path, f"{row.cost.flops / 1e6:,.1f}", f"{row.cost.bytes / 1e6:,.1f}"


def explain_ntk(
    net: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    outputs: str = "full",
    memory_limit: int | None = None,
    dtype: torch.dtype | None = None,
) -> Explanation:
    """The paths and costs of `empirical_ntk` with the same arguments, after passes over a few examples only.

    FLOPs and bytes are counted as if the kernel were one tile; several tiles repeat passes, how often the lines below
    the table say. Of passes the matrix products, convolutions and attention count, but not those inside an LSTM on a
    CPU.

    Raises:
        InvalidValue: as `empirical_ntk`.

    >>> net = nn.Sequential(nn.Linear(50, 20), nn.Tanh(), nn.Linear(20, 2))
    >>> [row.path for row in explain_ntk(net, torch.ones(8, 50)).rows]
    ['passes, outputs batched', 'input gram', 'input gram']
    """
    problem = prepare(net, x1, x2, outputs, memory_limit, dtype)
    with undisturbed(problem.net, problem.device):
        problem.make_plan()
        problem.make_grid()
        rows = _passes(problem)
    plan, sizes = problem.plan, problem.sizes(problem.plan.directions)
    for share in plan.shares:
        owners, names = zip(*(name.rpartition(".")[::2] for name in share.parameters), strict=True)
        rows.append(Row(owners[0] or ", ".join(names), ", ".join(names), share.path, share.cost(sizes)))
    grid = problem.grid
    largest = (max(block.stop - block.start for block in blocks) for blocks in (grid.blocks1, grid.blocks2))
    return Explanation(
        rows=rows,
        tiles=len(list(grid.tiles())),
        tile_examples=tuple(largest),
        examples=sizes.examples,
        examples_in_passes=examples_in_passes(grid),
    )


def _passes(problem: NTKProblem) -> list[Row]:
    """Counted in passes over a few examples."""
    net, tensors, plan = problem.net, problem.tensors, problem.plan
    few, sizes = problem.x1[: plan.probed], problem.sizes(plan.directions)
    repeated = sizes.examples / len(few)
    with sdpa_kernel(SDPBackend.MATH):  # attention's fused forms have no formula on a CPU
        with _Counter() as counter:
            _, directions, _ = passes(net, tensors, plan, few, problem.outputs)
        order = "batched" if plan.batched else "in turn"
        rows = [Row("network", "", f"passes, outputs {order}", Cost(repeated * counter.flops))]
        if names := plan.parameters(TORCH_FUNC):
            with _Counter() as counter:
                functional_gradients(net, tensors, names, few, directions)
            rows.append(Row("network", "", "passes of torch.func", Cost(repeated * counter.flops)))
    return rows


class _Counter(TorchDispatchMode):
    """Sums what PyTorch's formulas say. Its own `FlopCounterMode` hooks modules besides, which some networks forbid."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result, formula = func(*args, **(kwargs or {})), flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=result)
        return result
