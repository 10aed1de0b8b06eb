"""Kernels that the recipe could not hold: time, peak memory and the recipe's bytes, each in a process of its own.

python benchmarks/ntk_scale.py               # 13 M parameters, N = 1000, O = 10: a 10,000 × 10,000 kernel
python benchmarks/ntk_scale.py --trace       # trace against full where N·O is much larger than n (N=1000, n=400)
python benchmarks/ntk_scale.py --device cuda # either of them on a GPU; the peak is then that of its memory
"""

import argparse
import resource
import time

import torch
from ntk_recipe import recipe_bytes

from orthontk.init import initialize
from orthontk.kernels import empirical_ntk, explain_ntk
from orthontk.networks import FCN

EXAMPLES, OUTPUTS = 1000, 10
GIB = 2**30


def network(width: int, device: str) -> tuple[FCN, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    net = FCN(784, OUTPUTS, width=width, depth=5, weight_var=1.5, bias_var=0.1)
    x = torch.randn(EXAMPLES, 784, generator=generator)
    return initialize(net, "gaussian", generator).to(device), x.to(device)


def seconds(net: FCN, x: torch.Tensor, outputs: str) -> float:
    start = time.perf_counter()
    empirical_ntk(net, x, outputs=outputs)
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def scale(device: str) -> None:
    net, x = network(1960, device)
    needed = recipe_bytes(net, EXAMPLES, None, OUTPUTS)
    explanation = explain_ntk(net, x)
    taken = seconds(net, x, "full")
    peak = peak_bytes(device)
    print(f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} M parameters, N = {EXAMPLES}, O = {OUTPUTS}")
    print(f"{taken:.1f} s, {explanation.cost.flops / taken / 1e9:.0f} GFLOP/s, {explanation.tiles} tiles")
    where = "the whole process" if device == "cpu" else "the GPU's memory"
    print(f"peak of {where} {peak / GIB:.2f} GiB; the recipe's Jacobians alone {needed / GIB:,.0f} GiB")


def trace(device: str) -> None:
    net, x = network(400, device)
    times = {outputs: min(seconds(net, x, outputs) for _ in range(3)) for outputs in ("full", "trace")}
    print(f"full {times['full']:.2f} s, trace {times['trace']:.2f} s: {times['full'] / times['trace']:.1f}×")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    (trace if arguments.trace else scale)(arguments.device)
