"""A witness for E[φ(u)φ(v)] and E[φ'(u)φ'(v)]: two nested integrals by Gauss–Legendre panels that close in on every
place where φ bends or jumps, one pair of variances and one correlation at a time. It shares no code with the package.
"""

import numpy as np
import torch

NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
REACH = 8.6
ROWS = 2000


def _panels(edges):
    """Nodes and weights (including the normal density) of every row's panels: edges (r, p) to (r, 16(p−1)) each."""
    edges = np.sort(np.clip(edges, -REACH, REACH), -1)
    half = np.diff(edges, axis=-1)[..., None] / 2
    z = edges[..., :-1, None] + half * (1 + NODES)
    w = half * WEIGHTS * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return z.reshape(len(edges), -1), w.reshape(len(edges), -1)


def _regular(length):
    """Panels no longer than `length` (what φ needs) nor than 1 (what the density needs)."""
    count = int(np.ceil(2 * REACH / min(1.0, length)))
    return np.linspace(-REACH, REACH, count + 1)


def plane(module, kinks, q1, q2, gap, sign=1, scale=1.0):
    """E[φφ'] and E[φ'φ'] for variances q1, q2 and correlation sign·(1 − gap).

    Args:
        module: φ, elementwise.
        kinks: where φ, φ' or φ'' jumps.
        scale: φ is analytic between kinks on panels of this length.
    """
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    rho, spread = sign * (1 - gap), np.sqrt(gap * (2 - gap))
    edges = [_regular(scale / max(s1, s2 * abs(rho)))]
    for kink in kinks:
        edges.append([kink / s1])
        if abs(rho) > 1e-3:
            width = max(spread / abs(rho), 1e-9)
            steps = width * 2.0 ** np.arange(max(1, int(np.ceil(np.log2(4 / width)))))
            centre = kink / (s2 * rho)
            edges += [[centre], centre + steps, centre - steps]
    z, w = _panels(np.concatenate(edges)[None])
    z, w = z[0], w[0]
    keep = w > 1e-30
    z, w = z[keep], w[keep]
    inner_edges = _regular(scale / max(s2 * spread, 1e-300))
    totals = np.zeros(2)
    for rows in np.array_split(np.arange(len(z)), max(1, len(z) * len(inner_edges) // 100_000)):
        if spread > 0:
            cuts = [(k / s2 - rho * z[rows, None]) / spread for k in kinks]
            x, wx = _panels(np.concatenate([np.broadcast_to(inner_edges, (len(rows), len(inner_edges))), *cuts], -1))
        else:
            x, wx = np.zeros((len(rows), 1)), np.ones((len(rows), 1))
        u, v = s1 * z[rows], s2 * (rho * z[rows, None] + spread * x)
        for index, f in enumerate(_functions(module)):
            totals[index] += w[rows] @ (f(u) * (wx * f(v)).sum(1))
    return totals


def _functions(module):
    def value(u):
        with torch.no_grad():
            return module(torch.from_numpy(u)).numpy()

    def derivative(u):
        t = torch.from_numpy(u.copy()).requires_grad_()
        return torch.autograd.grad(module(t).sum(), t)[0].numpy()

    return value, derivative
