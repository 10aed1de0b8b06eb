"""Singular values of the Jacobian between the first and the last hidden pre-activations (Pennington et al. 2017).

The Jacobian to the outputs would have a rank of at most their number; between hidden layers the whole spectrum shows.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.inheritance import runs_as
from orthontk.kernels.infinite.layers import activations, as_images, linear_steps
from orthontk.kernels.undisturbed import undisturbed
from orthontk.networks import CNN, FCN


class SquaredSingularValues(NamedTuple):
    """Moments of a spectrum: the mean of σ², and the variance of σ² over the square of its mean."""

    mean: float
    relative_variance: float


def hidden_jacobian(net: FCN | CNN, x: Tensor) -> Tensor:
    """∂z^{L−1}/∂z¹ at one input `x` (without a batch axis): (M, M) with M units, or channels × positions.

    In full-precision arithmetic, whatever the training's is.

    Raises:
        InvalidValue: fewer than two hidden layers, another network than FCN and CNN, or an input of another shape.
    """
    _check_network(net)

    def last_hidden(z: Tensor) -> Tensor:
        for layer, activation in zip(net.layers[1:-1], net.activations, strict=False):
            z = layer(activation(z)[None])[0]
        return z

    with undisturbed(net, x.device):
        z = net.layers[0](net.layer_inputs(x[None]))[0].detach()  # (n,) or (n, H, W)
        jacobian = torch.func.jacrev(last_hidden, chunk_size=256)(z)
    return jacobian.reshape(z.numel(), z.numel()).detach()


def measured_spectrum(net: FCN | CNN, x: Tensor) -> tuple[Tensor, SquaredSingularValues]:
    """The singular values of `hidden_jacobian`, (M,) and descending, and the moments of their squares.

    All are NaN for a network whose Jacobian is not finite.

    Raises:
        InvalidValue: as `hidden_jacobian`.
    """
    jacobian = hidden_jacobian(net, x)
    values = torch.linalg.svdvals(jacobian) if jacobian.isfinite().all() else jacobian[0] * math.nan
    squares = values**2
    mean = squares.mean()
    return values, SquaredSingularValues(float(mean), float((squares - mean).square().mean() / mean**2))


def predicted_spectrum(net: FCN | CNN, x: Tensor, init: str = "gaussian") -> SquaredSingularValues:
    """What `measured_spectrum` tends to as the width grows.

    The mean, ∏ χ(qˡ), is the same for every initialization; qˡ starts from `x`, and a CNN's positions each carry their
    own. Per layer the relative variance grows by μ₂/μ₁² − 1 − s₁, μ_k = E[φ'^{2k}], with s₁ = −1 for Gaussian weights,
    0 for orthogonal and delta-orthogonal ones, and −(1−1/k²) for orthogonal taps and flat orthogonal convolutions. At
    the fixed point that makes L·(μ₂/μ₁² − 1 − s₁), L counting the layers between the two ends. Both μ are means over a
    CNN's positions, which are as good as units of different lengths. It neglects that zero
    padding and unequal positions make a CNN's layers no longer alike.

    Raises:
        InvalidValue: as `infinite_kernels` and `hidden_jacobian`.

    Source: Pennington et al. 2017, eq. 22.
    """
    _check_network(net)
    steps, phis = linear_steps(net, init), activations(net)
    images = as_images(net, x[None])
    moment = images.square().mean(1)  # (1, H, W)
    slopes, spread = [], 0.0
    for step, following, phi in zip(steps, steps[1:-1], phis, strict=False):
        q = step.passed(moment) + step.bias_var
        moment = phi.expectation(lambda u, phi=phi: phi.value(u) ** 2, q)
        mu_1, mu_2 = (phi.expectation(lambda u, p=p, phi=phi: phi.derivative(u) ** p, q) for p in (2, 4))
        slopes.append(mu_1)
        spread += float(mu_2.mean() / mu_1.mean().square()) - 1 - _s_1(init, following.kernel_size)
    passed = torch.ones_like(moment)  # how much of a gradient's variance reaches each position
    for following, mu_1 in zip(reversed(steps[1:-1]), reversed(slopes), strict=True):
        passed = mu_1 * following.passed(passed)
    return SquaredSingularValues(float(passed.mean()), spread)


def _s_1(init: str, kernel_size: int) -> float:
    """First coefficient of the S-transform of WᵀW, normalized."""
    return {
        "gaussian": -1.0,
        "orthogonal": 1 / kernel_size**2 - 1,
        "flat_orthogonal": 1 / kernel_size**2 - 1,
        "delta_orthogonal": 0.0,
    }[init]


def _check_network(net: FCN | CNN) -> None:
    if not runs_as(net, FCN, CNN):
        raise InvalidValue("net", type(net).__name__, "an FCN or a CNN, with no forward pass of its own")
    if len(net.layers) < 3:
        raise InvalidValue("depth", len(net.layers), "at least 3, for two hidden layers")
