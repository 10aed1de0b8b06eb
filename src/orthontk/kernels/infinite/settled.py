"""Quadrature at large variances for activations that settle, such as tanh and SiLU, in a few dozen panels.

Panels of one unit of u would be √q many. Here they are laid around u = 0, where φ bends, instead of around the mean,
and double in length from `Resolution.settled` on, cut once more at every standard deviation, for the density's sake.
"""

import math

import torch
from torch import Tensor

from orthontk.kernels.infinite.quadrature import REACH, nodes, on_panels
from orthontk.kernels.infinite.resolution import Resolution

FEW_PANELS = 4.0  # standard deviation in u up to which panels of one unit around the mean are fewer


def settled_nodes(q: Tensor, resolution: Resolution, mean: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, each (len(q), n), as `quadrature.nodes` returns them, for an activation that settles.

    Args:
        q: (m,) variances above 0.
        resolution: the activation's, whose `settled` is not None.
        mean: (m, 1), or 0.
    """
    sigma = q.sqrt()[:, None]
    if sigma.max() <= FEW_PANELS:
        return nodes(q, resolution.cuts, mean)
    start = resolution.settled
    farthest = float((REACH * sigma + torch.as_tensor(mean).abs()).max())
    doubled = start * 2.0 ** torch.arange(1, max(1, math.ceil(math.log2(farthest / start))) + 1, dtype=torch.float64)
    inner = torch.arange(-start, start + 1, dtype=torch.float64)
    steps = torch.arange(-math.ceil(REACH), math.ceil(REACH) + 1, dtype=torch.float64)
    edges = (torch.cat([-doubled, inner, doubled, resolution.cuts]) - mean) / sigma
    return on_panels(torch.cat([edges, steps.expand(len(q), -1)], dim=-1), REACH)
