"""Each layer's share of the trace of the NTK, read off while the kernel is computed."""

import math
from collections import defaultdict

from torch import Tensor, nn

from orthontk.kernels.empirical import solve
from orthontk.kernels.problem import prepare
from orthontk.kernels.undisturbed import undisturbed
from orthontk.networks import named_layers


def ntk_and_layer_shares(
    net: nn.Module, x: Tensor, *, outputs: str = "full", memory_limit: int | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The kernel of x with itself, and tr Θˡ / tr Θ, where Θˡ sums over the parameters of layer l alone.

    Args:
        net, x, outputs, memory_limit: as in `empirical_ntk`, whose kernel it is to the last bit.

    Returns:
        Θ, and the shares, which sum to 1: by layer, named layer1 … layerL as in `named_layers`; parameters of other
        modules by the module's name.

    Raises:
        InvalidValue: as `empirical_ntk`.

    >>> import torch
    >>> from orthontk.networks import FCN
    >>> net = FCN(2, 1, width=4, depth=2, bias_var=1.0)
    >>> ntk_and_layer_shares(net, torch.eye(2))[1]  # at W = 0 only the last bias acts on f
    {'layer1': 0.0, 'layer2': 1.0}
    """
    problem = prepare(net, x, None, outputs, memory_limit, None, inputs="x")
    traces: dict[str, float] = {}
    with undisturbed(problem.net, problem.device):
        theta = solve(problem, traces=traces)
    return theta, _by_layer(net, traces)


def _by_layer(net: nn.Module, traces: dict[str, float]) -> dict[str, float]:
    """Shares of the layers, from traces of parameters; a dense bias contracted with its weight counts as the weight."""
    names = {id(layer): name for name, layer in named_layers(net)}
    total = sum(traces.values()) or math.nan  # no shares where nothing acts on the outputs
    shares: dict[str, float] = defaultdict(float)
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            module = name.rpartition(".")[0]
            shares[names.get(id(net.get_submodule(module)), module)] += traces.get(name, 0.0) / total
    return dict(shares)
