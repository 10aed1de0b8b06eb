"""Which operations go backward well for all outputs at once (`vmap`), and which are better taken one output at a time.

For each operation, between two dense layers: milliseconds of both ways for 64 examples and 10 outputs, and whether
PyTorch warned of a missing batching rule. `orthontk.kernels.backward.BATCHED_WELL` lists the autograd nodes of the rows
where batching is the faster way.

    python benchmarks/ntk_backward.py
"""

import warnings
from collections.abc import Callable

import torch
from ntk_speed import best_of
from torch import Tensor, nn

from orthontk.kernels.backward import cotangents
from orthontk.kernels.graph import graph_nodes

EXAMPLES, OUTPUTS = 64, 10


def flat(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(256, 400), *layers, nn.Linear(400, OUTPUTS))


def image(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Linear(256, 2048), nn.Unflatten(1, (8, 16, 16)), *layers, nn.Flatten(), nn.LazyLinear(OUTPUTS)
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{type(a).__name__: lambda a=a: flat(a) for a in (nn.Tanh(), nn.ReLU(), nn.LeakyReLU(), nn.GELU(), nn.SiLU())},
    **{type(a).__name__: lambda a=a: flat(a) for a in (nn.Sigmoid(), nn.Softplus(), nn.ELU(), nn.Softmax(1))},
    "Linear": lambda: flat(nn.Linear(400, 400)),
    "LayerNorm": lambda: flat(nn.LayerNorm(400)),
    "RMSNorm": lambda: flat(nn.RMSNorm(400)),
    "BatchNorm1d, eval": lambda: flat(nn.BatchNorm1d(400)).eval(),
    "GroupNorm": lambda: image(nn.GroupNorm(2, 8)),
    "Conv2d": lambda: image(nn.Conv2d(8, 8, 3, padding=1)),
    "Conv2d, circular": lambda: image(nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")),
    "MaxPool2d": lambda: image(nn.MaxPool2d(2)),
    "AvgPool2d": lambda: image(nn.AvgPool2d(2)),
    "AdaptiveAvgPool2d": lambda: image(nn.AdaptiveAvgPool2d(2)),
    "Upsample": lambda: image(nn.Upsample(scale_factor=2)),
}


def measure(net: nn.Module) -> tuple[float, float, bool, str]:
    """Milliseconds batched and in turn, whether a warning came, and the nodes besides the dense layers'."""
    net(torch.randn(2, 256))
    z: list[Tensor] = []
    net[0].register_forward_hook(lambda module, inputs, output: z.append(output))
    outputs = net(torch.randn(EXAMPLES, 256))
    directions = cotangents("full", EXAMPLES, OUTPUTS, outputs)

    def batched() -> None:
        torch.func.vmap(lambda v: torch.autograd.grad(outputs, z, v, retain_graph=True))(directions)

    def in_turn() -> None:
        for direction in directions:
            torch.autograd.grad(outputs, z, direction, retain_graph=True)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        batched()
    slow = any("batching rule" in str(warning.message) for warning in caught)
    names = {type(node).__name__ for node in graph_nodes(outputs.grad_fn)}
    ordinary = {"AddmmBackward0", "TBackward0", "AccumulateGrad", "ViewBackward0", "UnsafeViewBackward0"}
    return 1e3 * best_of(15, batched), 1e3 * best_of(15, in_turn), slow, ", ".join(sorted(names - ordinary))


def main() -> None:
    torch.manual_seed(0)
    torch._C._debug_only_display_vmap_fallback_warnings(True)
    print("| operation | batched, ms | in turn, ms | no batching rule | autograd nodes |\n|---|---|---|---|---|")
    for name, make in NETWORKS.items():
        batched, in_turn, slow, nodes = measure(make())
        print(f"| {name} | {batched:.2f} | {in_turn:.2f} | {'yes' if slow else ''} | {nodes} |", flush=True)


if __name__ == "__main__":
    main()
