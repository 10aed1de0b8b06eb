"""Shows which path each parameter's share of a kernel takes, and what it costs."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from orthontk.kernels import costs
from orthontk.kernels.costs import Cost
from orthontk.kernels.problem import prepare
from orthontk.kernels.undisturbed import undisturbed

COLUMNS = ("layer", "parameters", "path", "MFLOP", "MB moved")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        layer: the module that owns the parameters, or "network" for its passes.
        parameters: their names in it.
        path: how their share is contracted.
        cost: FLOPs, and bytes read and written, by `orthontk.kernels.costs`.
    """

    layer: str
    parameters: str
    path: str
    cost: Cost


@dataclass(frozen=True)
class Explanation:
    """What a call of `empirical_ntk` would do; prints as a table.

    Attributes:
        rows: one for the passes, and one for each share of the kernel.
        tiles: how many tiles the kernel is cut into.
        batched: whether all outputs go backward in one pass, or one after the other.
    """

    rows: list[Row]
    tiles: int
    batched: bool

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
        return "\n".join([*lines, f"tiles: {self.tiles}"])

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

    FLOPs and bytes are counted as if the kernel were one tile; several tiles repeat some passes.

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
    plan, sizes = problem.plan, problem.sizes(problem.plan.directions)
    uses = {id(use): use for share in plan.shares for use in share.uses}.values()
    passes = sum((costs.passes(use, sizes) for use in uses), Cost())
    rows = [Row("network", "", f"passes, outputs {'batched' if plan.batched else 'in turn'}", passes)]
    for share in plan.shares:
        owners, names = zip(*(name.rpartition(".")[::2] for name in share.parameters), strict=True)
        rows.append(Row(owners[0] or "net", ", ".join(names), share.path, share.cost(sizes, plan.features)))
    return Explanation(rows, len(list(problem.grid.tiles())), plan.batched)
