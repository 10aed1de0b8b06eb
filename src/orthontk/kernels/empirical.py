"""The empirical NTK of any network: exact, and without Jacobians where the layers' structure is known."""

from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from orthontk.checks import InvalidValue
from orthontk.kernels import ranks
from orthontk.kernels.contractions import add_share
from orthontk.kernels.fingerprint import Identity, description, fingerprint, outputs_of_some
from orthontk.kernels.freed_memory import keep_freed_memory
from orthontk.kernels.held_blocks import HeldBlocks
from orthontk.kernels.problem import NTKProblem, prepare
from orthontk.kernels.side import Side, UnlikePasses, make_side
from orthontk.kernels.storage import Storage
from orthontk.kernels.tile import Tile
from orthontk.kernels.undisturbed import undisturbed


def empirical_ntk(
    net: nn.Module,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    outputs: str = "full",
    memory_limit: int | None = None,
    dtype: torch.dtype | None = None,
    out: str | Path | None = None,
    progress: bool = False,
) -> Tensor:
    """Θ(x,x')ₐᵦ = Σ_θ ∂fₐ(x)/∂θ · ∂fᵦ(x')/∂θ over the parameters with `requires_grad`.

    A complex parameter counts as two, its real and its imaginary part.

    Under `torch.distributed` every rank has to call it, with the same arguments; they share the work.

    Of known layers no Jacobian of the whole network is ever formed. Of parameters that weights are computed from
    (`torch.nn.utils.parametrizations`, masks, low rank) the gradients of each example and output are; `explain_ntk`
    shows where, and what is left to `torch.func`.

    Args:
        net: maps (N, …) to (N, O), or to (N, …) that is flattened to it, each example on its own.
        x1: (N₁, …).
        x2: (N₂, …); None means x1, at half the cost.
        outputs: "full", "trace" (the mean over outputs of Θₐₐ) or "sum_of_logits" (the kernel of Σₐ fₐ/√O, Mohamadi
            et al. 2022).
        memory_limit: bytes to stay within, besides network, inputs, result and what the C library keeps of freed
            memory, 100 MiB or so; None means 2 GiB. It decides the tiles, and these the last bits of the result.
        dtype: of network and result, torch.float32 or torch.float64; None means the parameters', at least float32.
            Products are taken in `dtype` and summed over parameters in float64.
        out: a .npy file to write the result to, tile by tile. If it is there, begun by an interrupted call with the
            same arguments and as many processes, the rest is computed; a file with other content is refused. What the
            file is of, and which of its tiles are finished, is in FILE.tiles beside it, without which it is refused as
            well.
        progress: show a bar.

    Returns:
        (N₁, N₂, O, O) for `full`, otherwise (N₁, N₂); with `out` a memory map of the file, which is not
            changed when the tensor is.

    Raises:
        InvalidValue: an argument outside what is accepted; a network that does not take the inputs, mixes examples
            (BatchNorm in training mode), draws random numbers (Dropout in training mode) or casts to 16 bits;
            with `out`, one that chooses its operations by the examples.

    Whether examples mix is read off a few of them: what neither gradients nor outputs show there, say behind a readout
    of zeros, goes unnoticed. Hooks on modules and on tensors of the forward pass are followed, forward and backward;
    those on parameters are not, as other tensors stand in for these. The network is left as it was, but for what its
    own forward pass writes to its parameters: no random numbers, no `.grad`, no hooks, no attributes. Arithmetic
    settings and generators are the process's: two threads must not call it, or draw numbers, at once.

    >>> net = nn.Linear(3, 2)  # ∂fₐ/∂W = eₐ xᵀ, ∂fₐ/∂b = eₐ: Θ = (x·x' + 1) I
    >>> empirical_ntk(net, torch.ones(1, 3))[0, 0]
    tensor([[4., 0.],
            [0., 4.]])
    """
    problem = prepare(net, x1, x2, outputs, memory_limit, dtype)
    with undisturbed(problem.net, problem.device):
        return solve(problem, out, progress)


def solve(
    problem: NTKProblem, out: str | Path | None = None, progress: bool = False, traces: dict[str, float] | None = None
) -> Tensor:
    """The kernel of a problem.

    Args:
        traces: gets the trace of each share's part of the kernel, by its first parameter; for a kernel of one set of
            inputs that is not written to a file.
    """
    if out is not None or ranks.rank_and_world()[1] > 1:
        problem.description = description(problem.net)
    problem.make_plan()
    try:
        return compute(problem, out, progress, traces)
    except UnlikePasses:  # known only once a block is there: a file may have tiles already
        if out is not None:
            accepted = "with out=, a network whose operations do not depend on the examples"
            raise InvalidValue("net", type(problem.net).__name__, accepted) from None
        problem.make_plan(structured=False)
        return compute(problem, out, progress, traces)


def compute(
    problem: NTKProblem, out: str | Path | None, progress: bool, traces: dict[str, float] | None = None
) -> Tensor:
    """The same where the plan is made.

    Raises:
        UnlikePasses: examples are computed in other ways than those of the plan, on this rank or another.
    """
    problem.make_grid()
    keep_freed_memory()
    rank, world = ranks.rank_and_world()
    digest = None
    if out is not None or world > 1:
        settings = problem.outputs, problem.dtype, problem.grid, problem.plan.shares
        digest = fingerprint(problem.description, problem.tensors, [problem.x1, problem.x2], *settings)
    if world > 1:
        ranks.check_same_problem(digest)
    storage = None if out is None else _open_storage(problem, out, digest)
    theta = storage.theta if storage else torch.zeros(problem.shape, dtype=problem.dtype, device=problem.device)
    finished = storage.finished if storage else set()
    tiles = [tile for tile in list(problem.grid.tiles())[rank::world] if tile not in finished]

    def after_passes(second: bool, block: slice) -> Side:
        x = problem.x2 if second else problem.x1
        return make_side(problem.net, problem.tensors, problem.plan, x[block], problem.outputs)

    sides = HeldBlocks(problem.grid, tiles, after_passes)
    own_traces = torch.zeros(len(problem.plan.shares), dtype=torch.float64, device=problem.device)
    unlike = False
    try:
        for i, j in tqdm(tiles, desc="NTK tiles", disable=not (progress and tiles)):
            _compute_tile(problem, sides, i, j, theta, own_traces if traces is not None and i == j else None)
            if storage:
                storage.finish((i, j))
    except UnlikePasses:
        unlike = True
    if ranks.any_rank(unlike, problem.device):
        raise UnlikePasses
    if world > 1:
        if storage is None:
            ranks.gather(theta)
        else:
            ranks.barrier()
            if not storage.has(problem.grid.tiles()):
                raise InvalidValue("out", out, "one file that all processes write to")
        if traces is not None:
            ranks.gather(own_traces)
    if traces is not None:
        traces |= dict(zip((s.parameters[0] for s in problem.plan.shares), own_traces.tolist(), strict=True))
    return storage.result() if storage else theta


def _open_storage(problem: NTKProblem, out: str | Path, digest: dict[str, str]) -> Storage:
    """The file, which rank 0 makes or checks before the others look at it."""
    rank, world = ranks.rank_and_world()
    identity = Identity(digest, outputs_of_some(problem.net, problem.tensors, problem.x1))
    if world == 1:
        return Storage(out, problem.shape, problem.dtype, identity)
    storage, refusal = None, None
    if rank == 0:
        try:
            storage = Storage(out, problem.shape, problem.dtype, identity)
        except InvalidValue as error:
            refusal = error
    ranks.share_refusal(refusal)
    return storage or Storage(out, problem.shape, problem.dtype, identity)


def _compute_tile(
    problem: NTKProblem, sides: HeldBlocks[Side], i: int, j: int, theta: Tensor, traces: Tensor | None
) -> None:
    grid, plan = problem.grid, problem.plan
    rows, columns = grid.blocks1[i], grid.blocks2[j]
    side1, side2 = sides.of_tile(i, j)
    n1, n2 = rows.stop - rows.start, columns.stop - columns.start
    tile = Tile(plan.directions, n1, n2, side1 is side2, problem.trace, problem.grain, problem.device)
    before = 0.0
    for index, share in enumerate(plan.shares):
        add_share(tile, share, side1, side2)
        if traces is not None:
            after = tile.trace()
            traces[index] += after - before
            before = after
    mirrored = theta[columns, rows] if grid.same and i != j else None
    tile.write(theta[rows, columns], mirrored, 1 / plan.features if problem.trace else 1.0)
