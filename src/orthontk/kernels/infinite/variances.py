"""What single inputs contribute: their variances in every layer, and what the expectations need to know of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from orthontk.kernels.infinite.duals import Dual, make_dual
from orthontk.kernels.infinite.gaussian import Activation
from orthontk.kernels.infinite.layers import LinearStep
from orthontk.kernels.infinite.quadrature import expectation


@dataclass(frozen=True)
class Moments:
    """One layer's pre-activations, input by input and position by position.

    Attributes:
        root: (N, H, W), standard deviations √q.
        features: (f, N, H, W), what `Dual.pair` needs.
        means: (2, N, H, W), E[φ] and E[φ'], if any q is 0; else None. There u is constant, so E[φ(u)φ(v)] = φ(0)E[φ(v)]
            (and φ'(0) is what torch takes it to be: 0 for relu).
    """

    root: Tensor
    features: Tensor
    means: Tensor | None

    def view(self, images: slice, align: Callable[[Tensor], Tensor], axis: int) -> "Moments":
        """A block of the images, with a new axis (of the batch axes 0 and 1) to pair them along."""
        parts = (self.root[None], self.features) if self.means is None else (self.root[None], self.features, self.means)
        root, features, *means = (align(part[:, images]).unsqueeze(1 + axis) for part in parts)
        return Moments(root[0], features, means[0] if means else None)


def variance_pass(
    steps: Sequence[LinearStep], phis: Sequence[Activation], inputs: Sequence[Tensor]
) -> tuple[list[Dual], list[list[Moments]]]:
    """Every hidden layer's expectations, and for each set of inputs (N, C, H, W) every hidden layer's moments."""
    moments = [images.square().mean(1) for images in inputs]  # (N, H, W)
    duals, layers = [], [[] for _ in inputs]
    before = None
    for step, phi in zip(steps, phis, strict=False):  # all but the readout
        variances = [step.passed(m) + step.bias_var for m in moments]
        everything = torch.cat([q.flatten() for q in variances])
        positive = everything[everything > 0]
        settled = duals and phi is phis[len(duals) - 1] and bool(((everything - before).abs() <= 1e-14 * before).all())
        before = everything
        if settled:  # at the fixed point a deep network's layers are alike: nothing is to be computed anew
            duals.append(duals[-1])
            for kept in layers:
                kept.append(kept[-1])
            continue
        duals.append(make_dual(phi, positive if len(positive) else torch.ones(1, dtype=torch.float64), duals))
        moments = []
        for q, kept in zip(variances, layers, strict=True):
            features = duals[-1].features(q)
            means = None if len(positive) == len(everything) else _means(phi, q)
            kept.append(Moments(q.sqrt(), features, means))
            second = duals[-1].moments(features)
            moments.append(second if means is None else second.where(q > 0, means[0] ** 2))
    return duals, layers


def _means(phi: Activation, q: Tensor) -> Tensor:
    """E[φ(√q·z)] and E[φ'(√q·z)]: (2, *q.shape)."""
    different, inverse = q.flatten().unique(return_inverse=True)
    means = [expectation(f, different, phi.cuts) for f in (phi.value, phi.derivative)]
    return torch.stack(means)[:, inverse].reshape(2, *q.shape)
