"""The laws of the schemes: Haar factors, and unit variance of every entry.

Seeds are fixed. Means are held to 5 standard errors, Kolmogorov–Smirnov tests to p > 10⁻³; where a test guards against
a known mistake, the mistake is made in the test and must be seen by the same statistic.
"""

import math

import pytest
import torch
from factors import isometry_defect, normal
from scipy import stats

from orthontk.init import SCHEMES, flat_orthogonal, orthogonal

DRAWS = 64 * 64
N = 4


def haar(n_out, n_in, seed=0):
    """DRAWS factors Q at once: the independent taps of one large kernel; (DRAWS, n_out, n_in)."""
    weight = orthogonal(normal(n_out, n_in, 64, 64, seed=seed)) / math.sqrt(max(n_out, n_in))
    return weight.permute(2, 3, 0, 1).flatten(0, 1)


def uncorrected(n_out, n_in):
    """The Q of LAPACK's QR as it comes: what `haar` would be without the sign fix."""
    return torch.linalg.qr(normal(n_out, n_in, 64, 64).permute(2, 3, 0, 1).flatten(0, 1))[0]


def standard_errors(samples, expected):
    """How many standard errors the mean of `samples` over the first axis is away from `expected`."""
    deviation = samples.mean(0) - expected
    return float((deviation.abs() / (samples.std(0) / math.sqrt(len(samples)))).max())


def trace(q):
    return q.diagonal(dim1=-2, dim2=-1).sum(-1)


def entry_p_value(q, row=0, column=0):
    """p-value of one entry of a column of length n: (q+1)/2 ~ Beta((n−1)/2, (n−1)/2) on the unit sphere."""
    half = (q.shape[-2] - 1) / 2
    return stats.kstest((q[:, row, column] + 1) / 2, stats.beta(half, half).cdf).pvalue


def test_traces_of_haar_matrices():
    """E tr Q = 0, E tr² Q = 1, E tr Q² = 1, E tr⁴ Q = 3 on O(n), n ≥ 2 (Diaconis & Shahshahani 1994)."""
    q = haar(N, N)
    assert standard_errors(trace(q), 0) < 5
    assert standard_errors(trace(q).square(), 1) < 5
    assert standard_errors(trace(q @ q), 1) < 5
    assert standard_errors(trace(q).pow(4), 3) < 5
    assert standard_errors(trace(uncorrected(N, N)), 0) > 50


def test_determinants_of_haar_matrices_are_plus_and_minus_one_alike():
    determinants = torch.linalg.det(haar(N, N))
    assert torch.allclose(determinants.abs(), torch.ones(DRAWS, dtype=torch.float64))
    assert stats.binomtest(int((determinants > 0).sum()), DRAWS).pvalue > 1e-3
    positive = int((torch.linalg.det(uncorrected(N, N)) > 0).sum())
    assert stats.binomtest(positive, DRAWS).pvalue < 1e-10


@pytest.mark.parametrize("row, column", [(0, 0), (1, 0), (1, 1), (0, 2), (2, 2)])
@pytest.mark.parametrize("n_out, n_in", [(4, 4), (6, 3), (3, 6)])
def test_columns_are_uniform_on_the_sphere(n_out, n_in, row, column):
    q = haar(n_out, n_in) if n_out >= n_in else haar(n_out, n_in).mT
    assert entry_p_value(q, row, column) > 1e-3


@pytest.mark.parametrize("n_out, n_in", [(4, 4), (6, 3)])
def test_without_the_sign_fix_columns_are_not_uniform(n_out, n_in):
    assert entry_p_value(uncorrected(n_out, n_in)) < 1e-100


def test_the_law_is_invariant_under_rotations_from_either_side():
    left, right = haar(N, N, seed=1)[0], haar(N, N, seed=2)[0]
    q = haar(N, N)
    for rotated in (left @ q, q @ right, left @ q @ right):
        assert entry_p_value(rotated) > 1e-3
        assert standard_errors(trace(rotated), 0) < 5
        assert standard_errors(trace(rotated).square(), 1) < 5


def test_one_by_one_matrices_are_fair_signs():
    signs = haar(1, 1).flatten()
    assert torch.equal(signs.abs(), torch.ones_like(signs))
    assert stats.binomtest(int((signs > 0).sum()), DRAWS).pvalue > 1e-3


def test_taps_of_one_weight_are_uncorrelated_haar_matrices():
    """For independent Haar Q, P: QᵀP is Haar again, so its traces have mean 0 and second moment 1."""
    q = haar(N, N)
    pairs = trace(q[::2].mT @ q[1::2])
    assert standard_errors(pairs, 0) < 5
    assert standard_errors(pairs.square(), 1) < 5
    assert standard_errors(trace(q[::2]).square() * trace(q[1::2]).square(), 1) < 5


RECTANGLES = [(3, 3), (5, 2), (2, 5), (1, 4), (4, 1), (1, 1)]


@pytest.mark.parametrize("n_out, n_in", RECTANGLES)
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_entry_has_mean_zero_and_unit_variance(scheme, k, n_out, n_in):
    """Delta-orthogonal weights have it in the mean over taps: k² in the centre and 0 elsewhere."""
    if scheme == "delta_orthogonal" and n_in > n_out:
        n_out, n_in = n_in, n_out
    generator = torch.Generator().manual_seed(0)
    shape = n_out, n_in, k, k
    draws = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(500))
    weights = torch.stack([SCHEMES[scheme](draw) for draw in draws])  # (500, n_out, n_in, k, k)
    if scheme == "delta_orthogonal":
        centre = weights[..., k // 2, k // 2]
        assert torch.equal(weights.square().sum((-2, -1)), centre.square())
        weights = centre / k
    assert standard_errors(weights, 0) < 5
    second_moments = weights.square()
    if second_moments.std(0).max() < 1e-12:  # ±1, where the matrix is 1×1
        assert torch.allclose(second_moments, torch.ones_like(second_moments))
    else:
        assert standard_errors(second_moments, 1) < 5


@pytest.mark.parametrize("n_out, n_in", [(3, 2), (2, 3), (20, 2)])  # wide, wide and tall once flattened
def test_flat_orthogonal_has_the_law_of_torch_orthogonal(n_out, n_in):
    generator = torch.Generator().manual_seed(1)
    shape = n_out, n_in, 3, 3
    scale = math.sqrt(max(n_out, 9 * n_in))

    def torch_orthogonal():
        weight = torch.empty(shape, dtype=torch.float64)
        return scale * torch.nn.init.orthogonal_(weight, generator=generator)

    ours = torch.stack([flat_orthogonal(normal(*shape, seed=seed)) for seed in range(1000)])
    theirs = torch.stack([torch_orthogonal() for _ in range(1000)])
    assert max(isometry_defect(weights.flatten(2)) for weights in (ours, theirs)) < 1e-12
    for statistic in (
        lambda w: w[:, 0, 0, 0, 0],
        lambda w: w[:, -1, -1, 1, 2],
        lambda w: w[:, 0, 0, 0, 0] * w[:, 1, 1, 1, 1],
        lambda w: w.sum((1, 2, 3, 4)),
        lambda w: w[..., 1, 1].square().sum((1, 2)),
    ):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-3
