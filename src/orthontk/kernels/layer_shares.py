"""Each layer's share of the trace of the NTK, from diagonals alone."""

import math
from collections import defaultdict

import torch
from torch import Tensor, nn

from orthontk.kernels.contractions import add_share
from orthontk.kernels.empirical import prepare
from orthontk.kernels.precision import exact_arithmetic
from orthontk.kernels.refusals import no_random_numbers
from orthontk.kernels.side import make_side
from orthontk.kernels.tile import Tile
from orthontk.networks import named_layers

EXAMPLES = 8  # in one pass: of the products of a tile only the diagonal is wanted, so tiles are kept small


def layer_shares(net: nn.Module, x: Tensor, *, memory_limit: int | None = None) -> dict[str, float]:
    """tr Θˡ / tr Θ, where Θˡ sums over the parameters (weight and bias) of layer l alone; the shares sum to 1.

    Args:
        net, x, memory_limit: as in `empirical_ntk`.

    Returns:
        By layer, named layer1 … layerL as in `named_layers`; parameters of other modules by the module's name.

    Raises:
        InvalidValue: as `empirical_ntk`.

    >>> from orthontk.networks import FCN
    >>> layer_shares(FCN(2, 1, width=4, depth=2, bias_var=1.0), torch.eye(2))  # at W = 0 only the last bias acts on f
    {'layer1': 0.0, 'layer2': 1.0}
    """
    names = {id(layer): name for name, layer in named_layers(net)}
    layer_of = {
        name: names.get(id(net.get_submodule(name.rpartition(".")[0])), name.rpartition(".")[0])
        for name, parameter in net.named_parameters()
        if parameter.requires_grad
    }
    traces = parameter_traces(net, x, memory_limit)
    total = sum(traces.values()) or math.nan  # no shares where nothing acts on the outputs
    shares = defaultdict(float)
    for name, layer in layer_of.items():
        shares[layer] += traces.get(name, 0.0) / total
    return dict(shares)


def parameter_traces(net: nn.Module, x: Tensor, memory_limit: int | None) -> dict[str, float]:
    """tr of each parameter's kernel; a dense bias that is contracted with its weight counts as the weight's."""
    problem = prepare(net, x, None, "trace", memory_limit, None)
    traces: dict[str, float] = defaultdict(float)
    with exact_arithmetic(problem.device), no_random_numbers(problem.device):
        problem.make_plan()
        largest = max(block.stop - block.start for block in problem.grid.blocks1)
        for block in problem.x1.split(min(EXAMPLES, largest)):
            side = make_side(net, problem.tensors, problem.plan, block, "trace")
            for share in problem.plan.shares:
                tile = Tile(problem.plan.directions, len(block), len(block), True, True, problem.device)
                add_share(tile, share, side, side)
                theta = torch.zeros(len(block), len(block), dtype=torch.float64, device=problem.device)
                tile.write(theta, None, 1.0)
                traces[share.parameters[0]] += theta.trace().item()
    return traces
