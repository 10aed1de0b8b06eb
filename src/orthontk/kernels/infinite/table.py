"""E[φ(u)φ(v)] and E[φ'(u)φ'(v)] for any activation, interpolated from accurate quadrature at well-chosen points.

For r = |ρ|, u = √q₁(√r z₀ + √(1−r) z₁) and v = √q₂(±√r z₀ + √(1−r) z₂) have correlation ±r. With the smoothed
g(q, z₀) = E[φ(√q(√r z₀ + √(1−r) z₁)) | z₀] the expectation is the one integral E[g(q₁, z₀) g(q₂, ±z₀)]. Both
integrals are cut at kinks. The expectations, divided by their values at ρ = 1, are then interpolated by Chebyshev
polynomials in log q₁, log q₂ and a variable that stretches s = √(1−r) towards 0, since they bend on the scale
s ~ 1/√q, and are analytic in s (not in ρ) even where φ has kinks. Time grows with √q up to q = 1e3, beyond with log q
if φ settles far from 0 (see `settled`).
"""

import math

import torch
from torch import Tensor

from orthontk.kernels.infinite.gaussian import Activation
from orthontk.kernels.infinite.quadrature import UNIFORM_UP_TO, expectation, nodes
from orthontk.kernels.infinite.settled import settled_nodes

CORRELATIONS = 32  # Chebyshev nodes for each sign of ρ, for variances up to `LARGE`
LARGE = 1e3  # variance beyond which panels of one unit are too many
ROWS_AT_ONCE = 512
NEGLIGIBLE = 1e-15  # of a normalized expectation; smaller than rounding once terms are summed

Factor = tuple[Tensor, Tensor]  # signs (r,) and vectors (r, m)


class TableDual:
    """The two expectations for one activation and the variances `q` > 0, of any shape."""

    def __init__(self, phi: Activation, q: Tensor) -> None:
        self.phi = phi
        self.variances, self.is_exact = _variance_nodes(q)  # (m,)
        # The s below which nothing bends any more.
        largest, sharpest = float(q.max()), phi.resolution.sharpest
        self.scale = min(1.0, sharpest / math.sqrt(largest))
        self.settled = phi.resolution.settled if largest > LARGE else None
        count = CORRELATIONS
        if largest > LARGE:  # as many for each power of ten of s
            count = math.ceil(count * math.asinh(1 / self.scale) / math.asinh(math.sqrt(LARGE) / sharpest))
        x = torch.cos(math.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / count)
        s = self.scale * torch.sinh((x + 1) / 2 * math.asinh(1 / self.scale))
        values = torch.stack([self._normalized(float(v) ** 2) for v in s])  # (c, function, parity, m, m)
        coefficients = torch.einsum("kc,cfp...->fpk...", _to_chebyshev(x), values)  # (function, parity, k, m, m)
        self.factors = [[_factors(matrices) for matrices in parities] for parities in coefficients]

    def holds_for(self, phi: Activation, q: Tensor) -> bool:
        """Whether it interpolates between all the variances `q` too, for this activation."""
        within = self.variances[0] <= q.min() and q.max() <= self.variances[-1]
        return phi is self.phi and not self.is_exact and bool(within)

    def features(self, q: Tensor) -> Tensor:
        """Interpolation weights, then q, √E[φ²] and √E[φ'²]: (m+3, *q.shape)."""
        flat, inverse = q.flatten().unique(return_inverse=True)
        flat = flat.clamp(min=float(self.variances.min()))  # q = 0 is treated apart
        roots = [self._moment(f, flat).sqrt() for f in (self.phi.value, self.phi.derivative)]
        table = torch.cat([self._weights(flat), torch.stack([flat, *roots])])
        return table[:, inverse].reshape(-1, *q.shape)

    def moments(self, features: Tensor) -> Tensor:
        """E[φ(√q·z)²], shaped like q."""
        return features[-2] ** 2

    def pair(self, features1: Tensor, features2: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
        """(F, G) shaped like ρ, against which the trailing axes of the features broadcast."""
        (q1, *roots1), (q2, *roots2) = features1[-3:], features2[-3:]
        x = (1 - rho.abs()).sqrt_().div_(self.scale).asinh_().mul_(2 / math.asinh(1 / self.scale)).sub_(1)
        sign = rho.sign()
        # Equal variances at ρ = 1 must give exactly 1: interpolation error there would part equal inputs in chaos.
        same = (rho.abs() == 1) & ((q1 - q2).abs() <= 1e-13 * q1)
        same &= (rho > 0) | self.phi.is_odd
        pair = []
        for index, (root1, root2) in enumerate(zip(roots1, roots2, strict=True)):
            even, odd = (self._interpolate(index, parity, features1, features2, x) for parity in (0, 1))
            normalized = (even + sign * odd).where(~same, sign if index == 0 else 1.0)
            pair.append(root1 * root2 * normalized)
        return pair[0], pair[1]

    def _interpolate(self, index: int, parity: int, features1: Tensor, features2: Tensor, x: Tensor) -> Tensor:
        """The Chebyshev series at x by Clenshaw's recursion; even (0) or odd (1) part in ρ."""
        first, *others = self.factors[index][parity]
        b1, b2 = torch.zeros_like(x), torch.zeros_like(x)
        for factor in reversed(others):
            b1, b2 = (2 * x).mul_(b1).sub_(b2), b1
            self._add_between(b1, factor, features1, features2)
        total = (x * b1).sub_(b2)
        self._add_between(total, first, features1, features2)
        return total

    def _add_between(self, total: Tensor, factor: Factor, features1: Tensor, features2: Tensor) -> None:
        """Add a matrix's value between the variances of every pair, term by term of its factors."""
        m = len(self.variances)
        signs, vectors = factor
        lefts = torch.tensordot(vectors * signs[:, None], features1[:m], dims=1)  # (r, …)
        rights = torch.tensordot(vectors, features2[:m], dims=1)
        for left, right in zip(lefts, rights, strict=True):
            total.addcmul_(left, right)

    def _weights(self, q: Tensor) -> Tensor:
        """(m, n): how much each node's value counts at the variances (n,)."""
        if self.is_exact:
            nearest = (self.variances.log()[:, None] - q.log()).abs().argmin(0)
            return torch.nn.functional.one_hot(nearest, len(self.variances)).mT.to(torch.float64)
        low, high = self.variances.log()[[0, -1]]
        basis = _chebyshev_basis((2 * self.variances.log() - low - high) / (high - low))
        return torch.linalg.solve(basis.mT, _chebyshev_basis((2 * q.log() - low - high) / (high - low), len(basis)).mT)

    def _moment(self, f, q: Tensor) -> Tensor:
        return torch.cat([self._second_moment(f, chunk) for chunk in q.split(ROWS_AT_ONCE)])

    def _second_moment(self, f, q: Tensor) -> Tensor:
        if self.settled is None:
            return expectation(lambda u: f(u) ** 2, q, self.phi.cuts)
        z, w = settled_nodes(q, self.phi.resolution)
        return (f(q.sqrt()[:, None] * z) ** 2 * w).sum(1)

    def _normalized(self, gap: float) -> Tensor:
        """E[φφ'] and E[φ'φ'] at ρ = ±(1 − gap) over their values at ρ = 1, split by parity: (function, parity, m, m).

        The gap, not ρ, has all its digits where it is small.
        """
        top, r, finest = float(self.variances.max()), 1 - gap, self.phi.resolution.panel
        panel = min(1.0, max(finest, math.sqrt(gap * top)) / math.sqrt(max(r * top, 1e-300)))
        uniform = UNIFORM_UP_TO if self.settled is None else panel * self.settled / finest
        z, w = nodes(torch.ones(1, dtype=torch.float64), self._cuts(gap), panel=panel, uniform_up_to=uniform)
        smoothed = torch.stack([self._smoothed(float(q), gap, z[0]) for q in self.variances], dim=1)
        tables = []
        for f, g in zip((self.phi.value, self.phi.derivative), smoothed, strict=True):  # g is (m, nodes)
            root = self._moment(f, self.variances).sqrt()
            even, odd = (g + g.flip(1)) / 2, (g - g.flip(1)) / 2  # the nodes are symmetric
            size = (root[:, None] * root).clamp(min=1e-300)  # 0 where a threshold is far beyond the variance
            tables.append(torch.stack([(part * w) @ part.mT / size for part in (even, odd)]))
        return torch.stack(tables)

    def _smoothed(self, q: float, gap: float, z: Tensor) -> Tensor:
        """g(q, z) = E[f(√q(√(1−gap) z + √gap z₁))] for φ and φ': (n,) to (2, n)."""
        parts = []
        for chunk in z.split(ROWS_AT_ONCE):
            mean = math.sqrt((1 - gap) * q) * chunk[:, None]
            variance = torch.full_like(chunk, gap * q)
            if self.settled is None:
                inner, w = nodes(variance, self.phi.cuts, mean)
            else:
                inner, w = settled_nodes(variance, self.phi.resolution, mean)
            u = mean + math.sqrt(gap * q) * inner
            parts.append(torch.stack([(f(u) * w).sum(1) for f in (self.phi.value, self.phi.derivative)]))
        return torch.cat(parts, dim=1)

    def _cuts(self, gap: float) -> Tensor | None:
        """Where the outer integral is cut: at bends, and at distances from them growing from the smoothing's width."""
        bends = self.phi.resolution.bends
        if len(bends) == 0 or gap == 1:
            return None
        centres = bends.abs().unique() / ((1 - gap) * self.variances).sqrt()[:, None]
        width = math.sqrt(gap / (1 - gap))
        steps = [2.0 * width * 2**j for j in range(max(0, math.ceil(-math.log2(width))) + 1)]
        steps = torch.tensor([0.0, *steps], dtype=torch.float64)
        distances = torch.cat([steps, -steps[1:]])
        points = (centres.flatten()[:, None] + distances).flatten()
        return torch.cat([points, -points]).unique()


def _variance_nodes(q: Tensor) -> tuple[Tensor, bool]:
    """All different variances if they are few (True), else Chebyshev points in log q (False): (m,), ascending.

    As functions of log q the expectations are analytic within ±π of the real line for activations with poles like
    tanh's, which sets the rate of convergence.
    """
    low, high = math.log(float(q.min())), math.log(float(q.max()))
    half = (high - low) / 2
    m = 4 + math.ceil(18 / math.asinh(math.pi / max(half, 1e-13)))
    different = q.unique()
    different = different[torch.cat([torch.ones(1, dtype=torch.bool), different.diff() > 1e-13 * different[1:]])]
    if len(different) <= m:
        return different, True
    points = -torch.cos(math.pi * torch.arange(m, dtype=torch.float64) / (m - 1))
    return torch.exp((low + high) / 2 + half * points), False


def _factors(matrices: Tensor) -> list[Factor]:
    """Symmetric (k, m, m) as sums Σ_r ±v_r v_rᵀ without their negligible terms, which are most of them."""
    values, vectors = torch.linalg.eigh(matrices)
    kept = values.abs() > NEGLIGIBLE * values.abs().max().clamp(min=1.0)
    return [(v[keep].sign(), (w * v.abs().sqrt()).mT[keep]) for v, w, keep in zip(values, vectors, kept, strict=True)]


def _chebyshev_basis(x: Tensor, count: int | None = None) -> Tensor:
    """T_k(x): (n, count); count is n if not given."""
    k = torch.arange(count or len(x), dtype=torch.float64)
    return torch.cos(k * torch.acos(x.clamp(-1, 1))[:, None])


def _to_chebyshev(x: Tensor) -> Tensor:
    """The matrix from values at the Chebyshev points x to coefficients: (k, c)."""
    return torch.linalg.inv(_chebyshev_basis(x))
