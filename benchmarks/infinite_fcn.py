"""Both infinite-width kernels of a deep tanh FCN: N = 1,000 inputs, L = 100 layers, float64; aim: 10 s on 2 cores.

usage: python benchmarks/infinite_fcn.py [--inputs 1000] [--depth 100] [--repeats 3]
"""

import argparse

import torch
from ntk_speed import best_of

from orthontk.kernels import infinite_kernels
from orthontk.networks import FCN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--depth", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    pixels = torch.rand(options.inputs, 3072, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = pixels - 0.5
    sphere = directions * (3072**0.5 * 0.16) / directions.norm(dim=1, keepdim=True)  # q near q*
    for name, x in (("pixels in [0,1]", pixels), ("equal lengths", sphere)):
        net = FCN(3072, 10, 64, options.depth, activation="tanh")
        seconds = best_of(options.repeats, lambda net=net, x=x: infinite_kernels(net, x))
        print(f"{name}: {seconds:.2f} s (best of {options.repeats}), {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
