"""How far CNNs of width n are from infinite width, for each initialization of their convolutions.

    python benchmarks/limits_cnn.py [--max-width 1024] [--draws 8]

Prints ‖Θ̂−Θ∞‖_F/‖Θ∞‖_F, the mean over draws and its slope in n (−½ is expected), against the limit of that
initialization; for delta-orthogonal networks, whose limit is their own, the distance to the Gaussian one as well.
"""

import argparse
import statistics

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from orthontk.callbacks.infinite_limit import distance
from orthontk.data import TensorDataModule
from orthontk.init import SCHEMES, initialize
from orthontk.kernels import empirical_ntk, infinite_kernels
from orthontk.networks import CNN

INPUTS, SIDE = 10, 7


def network(width: int) -> CNN:
    return CNN(1, SIDE, 1, width, depth=4, activation="relu", weight_var=2.0, bias_var=0.01)


def distances(x: Tensor, scheme: str, limit: Tensor, width: int, draws: int) -> list[float]:
    generator = torch.Generator().manual_seed(width)
    networks = (initialize(network(width), scheme, generator) for _ in range(draws))
    return [distance(empirical_ntk(net, x, outputs="trace"), limit) for net in networks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-width", type=int, default=1024)
    parser.add_argument("--draws", type=int, default=8)
    options = parser.parse_args()
    widths = [n for n in (64, 128, 256, 512, 1024) if n <= options.max_width]
    digits, _, _ = TensorDataModule("mnist_5k").probe(INPUTS)
    x = F.avg_pool2d(digits, 28 // SIDE)  # (10, 1, 7, 7): neighbouring pixels are alike, which tells the limits apart
    limits = {scheme: infinite_kernels(network(64), x, init=scheme).ntk for scheme in SCHEMES}
    table = Table(title=f"CNN, relu, L=4, ten digits of {SIDE}×{SIDE}, flatten, circular; {options.draws} draws")
    for column in ("initialization", "limit", *(f"n={n}" for n in widths), "slope"):
        table.add_column(column)
    for scheme in SCHEMES:
        for of in ("its own", "gaussian") if scheme == "delta_orthogonal" else ("its own",):
            limit = limits[scheme if of == "its own" else of]
            means = [statistics.mean(distances(x, scheme, limit, n, options.draws)) for n in widths]
            slope = f"{np.polyfit(np.log(widths), np.log(means), 1)[0]:.2f}" if len(widths) > 1 else "–"
            table.add_row(scheme, of, *(f"{mean:.4f}" for mean in means), slope)
    apart = distance(limits["delta_orthogonal"], limits["gaussian"])
    table.caption = f"the delta-orthogonal limit lies {apart:.4f} from the Gaussian one"
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
