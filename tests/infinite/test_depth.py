"""Pairs of inputs through 200 layers, against a two-dimensional trapezoid sum at every layer."""

import math

import pytest
import torch

from orthontk.kernels import infinite_kernels
from orthontk.networks import FCN

# ∫∫ over [−8.5, 8.5]²; tanh at these variances is analytic in a strip that makes 240 nodes exact to rounding.
Z = torch.linspace(-8.5, 8.5, 240, dtype=torch.float64)
WEIGHTS = torch.exp(-(Z**2) / 2) / math.sqrt(2 * math.pi) * (Z[1] - Z[0])


def expectations(a, b, c):
    """E[φφ'] and E[φ'φ'] for tanh and the covariance ((a, c), (c, b)), by u = √a z₁, v = (c z₁ + √(ab − c²) z₂)/√a."""
    u = math.sqrt(a) * Z[:, None]
    v = (c * Z[:, None] + math.sqrt(max(a * b - c * c, 0.0)) * Z) / math.sqrt(a)
    product = WEIGHTS[:, None] * WEIGHTS

    def mean(f):
        return float((product * f).sum())

    return mean(u.tanh() * v.tanh()), mean(u.cosh() ** -2 * v.cosh() ** -2)


def brute_force(x, y, depth, weight_var, bias_var):
    """Θ(x,x), Θ(y,y), Θ(x,y) of a tanh FCN, one pair of variances and covariance at a time."""
    pairs = [(x, x), (y, y), (x, y)]
    sigma = [weight_var * float(p @ q) / len(x) + bias_var for p, q in pairs]
    theta = list(sigma)
    for _ in range(depth - 1):
        a, b, c = sigma
        expected = [expectations(a, a, a), expectations(b, b, b), expectations(a, b, c)]
        sigma = [weight_var * phi + bias_var for phi, _ in expected]
        theta = [s + weight_var * slope * t for s, (_, slope), t in zip(sigma, expected, theta, strict=True)]
    return theta


@pytest.mark.slow  # for the sake of the brute force
@pytest.mark.parametrize("gap", [1e-8, 1e-4, 0.3])
@pytest.mark.parametrize("weight_var, bias_var", [(0.9, 0.02), (1.05, 2.01e-5), (1.5, 0.1), (2.5, 0.0)])
def test_tanh_after_200_layers(weight_var, bias_var, gap):
    """Ordered, critical and chaotic networks; inputs with 1 − ρ = gap."""
    rho = 1 - gap
    x = torch.tensor([1.0, 0.0], dtype=torch.float64)
    y = torch.tensor([rho, math.sqrt((1 - rho) * (1 + rho))], dtype=torch.float64)
    net = FCN(2, 1, width=1, depth=200, weight_var=weight_var, bias_var=bias_var)
    xx, yy, xy = brute_force(x, y, 200, weight_var, bias_var)
    computed = infinite_kernels(net, torch.stack([x, y])).ntk
    scale = math.sqrt(xx * yy)
    assert abs(computed[0, 0].item() - xx) < 1e-6 * xx
    assert abs(computed[0, 1].item() - xy) < 1e-6 * scale
