"""Random numbers for tests of initializations, in float64, and what tells an orthogonal factor."""

import torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def inputs(*shape):
    return normal(*shape, seed=1)


def isometry_defect(matrices):
    """max |QᵀQ − I| over the shorter side, where Q = W/√max(n_out, n_in), for a batch of (n_out, n_in) matrices."""
    longer, shorter = max(matrices.shape[-2:]), min(matrices.shape[-2:])
    tall = matrices if matrices.shape[-2] == longer else matrices.mT
    gram = tall.mT @ tall / longer
    return float((gram - torch.eye(shorter, dtype=gram.dtype)).abs().max())


def assert_factor(draw, weight):
    """G = Q·R, or Gᵀ = Q·R where there are more inputs, with Q = W over its norm and R's diagonal positive."""
    if draw.shape[-2] < draw.shape[-1]:
        draw, weight = draw.mT, weight.mT
    q = weight / torch.linalg.matrix_norm(weight, 2, keepdim=True)
    r = q.mT @ draw
    assert torch.allclose(q @ r, draw, atol=1e-12)
    assert r.tril(-1).abs().max() < 1e-12 and (r.diagonal(dim1=-2, dim2=-1) > 0).all()
