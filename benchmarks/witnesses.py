"""Two independent witnesses for every infinite-width formula, with their errors.

    python benchmarks/witnesses.py [--draws 16]

The first table: E[φφ'] and E[φ'φ'] of each activation against a brute-force sum on a grid in the plane, and by Price's
theorem (the second is the derivative of the first in the covariance). Errors are relative to the values at ρ = 1.
The second: ‖mean of Θ̂ − Θ∞‖/‖Θ∞‖ of finite networks, whose root mean square falls as n^-1/2, and the error of Θ∞
against a recursion written out pair by pair and position by position.
"""

import argparse
import math

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from orthontk.init import initialize
from orthontk.kernels import empirical_ntk, infinite_kernels
from orthontk.kernels.infinite.duals import make_dual
from orthontk.kernels.infinite.gaussian import Activation, as_activation
from orthontk.networks import CNN, FCN, Conv

ACTIVATIONS = ("identity", "relu", "leaky_relu", "erf", "gelu", "tanh", "SiLU")
VARIANCES = torch.tensor([0.05, 1.0, 9.0], dtype=torch.float64)
CORRELATIONS = (-0.95, -0.3, 0.0, 0.5, 0.9)
REACH, POINTS = 9.0, 1501  # of the brute-force grid, in standard deviations


def by_brute_force(phi: Activation, q1: float, q2: float, rho: float) -> tuple[float, float]:
    """Both expectations by the midpoint rule on a square grid, blocks of rows at a time."""
    step = 2 * REACH / POINTS
    z = -REACH + step * (torch.arange(POINTS, dtype=torch.float64) + 0.5)
    weight = torch.exp(-(z**2) / 2) * step / math.sqrt(2 * math.pi)
    sums = [0.0, 0.0]
    for rows in torch.arange(POINTS).split(500):
        u = math.sqrt(q1) * z[rows, None]
        v = math.sqrt(q2) * (rho * z[rows, None] + math.sqrt(1 - rho**2) * z)
        for index, f in enumerate((phi.value, phi.derivative)):
            sums[index] += float((weight[rows, None] * weight * f(u) * f(v)).sum())
    return sums[0], sums[1]


def formula_errors(name: str) -> tuple[str, float, float, float]:
    """The way it is computed; largest errors of both expectations by brute force, and of Price's theorem."""
    phi = as_activation(name)
    dual = make_dual(phi, VARIANCES)
    brute, price = [0.0, 0.0], 0.0
    for i, q1 in enumerate(VARIANCES):
        for q2 in VARIANCES[i:]:
            f1, f2 = dual.features(q1.reshape(1)), dual.features(q2.reshape(1))
            one = torch.ones(1, dtype=torch.float64)
            scales = [math.sqrt(a * b) for a, b in zip(dual.pair(f1, f1, one), dual.pair(f2, f2, one), strict=True)]
            for rho in CORRELATIONS:
                computed = [v.item() for v in dual.pair(f1, f2, torch.tensor([rho], dtype=torch.float64))]
                expected = by_brute_force(phi, float(q1), float(q2), rho)
                for index in (0, 1):
                    brute[index] = max(brute[index], abs(computed[index] - expected[index]) / scales[index])
                h = 1e-4
                up, down = (dual.pair(f1, f2, torch.tensor([rho + s * h], dtype=torch.float64))[0] for s in (1, -1))
                slope = (up - down).item() / (2 * h * math.sqrt(q1 * q2))
                price = max(price, abs(slope - computed[1]) / scales[1])
    return type(dual).__name__.removesuffix("Dual"), *brute, price


def written_out(net: FCN | CNN, x: Tensor, delta: bool) -> Tensor:
    """Θ∞ of a relu network by its recursion, every pair of inputs and of positions: (N, N), without any shared code."""
    n = len(x)
    images = x.reshape(n, x.shape[1], -1) if isinstance(net, CNN) else x.reshape(n, -1, 1)
    forward = torch.einsum("ica,jcb->ijab", images, images) / images.shape[1]  # (N, N, positions, positions)
    backward = torch.zeros_like(forward)
    *hidden, last = net.layers
    for layer in hidden:
        averaged, spread = (_over_taps(c, layer, net) for c in (forward, backward))
        passed, passed_back = (forward, backward) if delta and isinstance(layer, Conv) else (averaged, spread)
        sigma = layer.weight_var * passed + layer.bias_var
        theta = layer.weight_var * averaged + layer.bias_var + layer.weight_var * passed_back
        root = torch.einsum("iiaa->ia", sigma).sqrt()
        cosine = (sigma / root[:, None, :, None] / root[None, :, None, :]).clamp(-1, 1)
        angle = torch.acos(cosine)
        length = root[:, None, :, None] * root[None, :, None, :]
        forward = length * (angle.sin() + (math.pi - angle) * cosine) / (2 * math.pi)
        backward = (math.pi - angle) / (2 * math.pi) * theta
    read = (lambda c: c.mean((-2, -1))) if getattr(net, "readout", "") == "pool" else _mean_of_diagonal
    return last.weight_var * (read(forward) + read(backward)) + last.bias_var


def _mean_of_diagonal(c: Tensor) -> Tensor:
    return c.diagonal(dim1=-2, dim2=-1).mean(-1)


def _over_taps(c: Tensor, layer: torch.nn.Module, net: FCN | CNN) -> Tensor:
    """The mean over equally shifted pairs of positions, by looking every neighbour up."""
    if not isinstance(layer, Conv):
        return c
    (height, width), reach = net.image_size, layer.kernel_size // 2
    total = torch.zeros_like(c)
    for a in range(height * width):
        for b in range(height * width):
            for dy in range(-reach, reach + 1):
                for dx in range(-reach, reach + 1):
                    places = [(p // width + dy, p % width + dx) for p in (a, b)]
                    inside = all(0 <= y < height and 0 <= x < width for y, x in places)
                    if inside or layer.padding == "circular":
                        i, j = ((y % height) * width + x % width for y, x in places)
                        total[..., a, b] += c[..., i, j]
    return total / layer.kernel_size**2


def networks(width: int) -> dict[str, FCN | CNN]:
    image = {"activation": "relu", "weight_var": 1.7, "bias_var": 0.1}
    nets = {"FCN": FCN(24, 1, width, 3, **image)}
    for padding in ("circular", "zeros"):
        for readout in ("flatten", "pool"):
            nets[f"CNN, {padding}, {readout}"] = CNN(2, (4, 3), 1, width, 3, 3, padding, readout, **image)
    return nets


def network_errors(name: str, init: str, x: Tensor, draws: int) -> list[str]:
    limit = infinite_kernels(networks(4)[name], x, init=init).ntk
    exact = written_out(networks(4)[name], x, init == "delta_orthogonal")
    cells = [f"{float((limit - exact).norm() / exact.norm()):.1e}"]
    for width in (32, 256):
        net, generator = networks(width)[name].double(), torch.Generator().manual_seed(width)
        finite = torch.stack([empirical_ntk(initialize(net, init, generator), x)[..., 0, 0] for _ in range(draws)])
        single = ((finite - limit).square().sum((1, 2)).mean().sqrt() / limit.norm()).item()
        mean = ((finite.mean(0) - limit).norm() / limit.norm()).item()
        cells += [f"{single:.4f}", f"{mean:.4f}"]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=16)
    options = parser.parse_args()
    console = Console(width=120)
    table = Table("activation", "computed by", "E[φφ'], grid", "E[φ'φ'], grid", "Price's theorem", title="Expectations")
    for name in ACTIVATIONS:
        way, *errors = formula_errors(name)
        table.add_row(name, way, *(f"{error:.1e}" for error in errors))
    console.print(table)
    columns = ("network", "init", "written out", "n=32: one draw", "mean", "n=256: one draw", "mean")
    table = Table(*columns, title=f"Θ∞, relu, L=3; {options.draws} draws")
    x = torch.randn(3, 2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name in networks(4):
        schemes = ("gaussian", "orthogonal", "flat_orthogonal", "delta_orthogonal")
        for init in schemes[:2] if name == "FCN" else schemes:
            table.add_row(name, init, *network_errors(name, init, x, options.draws))
    console.print(table)


if __name__ == "__main__":
    main()
