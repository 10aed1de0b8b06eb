"""The schemes: each maps an iid N(0,1) draw of a weight's shape to unit-variance weights of the same shape.

A dense weight is (n_out, n_in), a convolution's (n_out, n_in, k, k). That every scheme is a function of the Gaussian
draw is what lets two initializations be compared in pairs.
"""

import math

import torch
from torch import Tensor

from orthontk.checks import InvalidValue


def gaussian(draw: Tensor) -> Tensor:
    """iid N(0,1)."""
    return draw


def orthogonal(draw: Tensor) -> Tensor:
    """√max(n_out, n_in)·Q with Q Haar semi-orthogonal; a convolution's k² taps are independent such matrices.

    Source: Saxe et al. 2014; for the factor, Huang, Du, Xu 2021, §2.
    """
    if draw.dim() == 2:
        return _scaled_haar(draw)
    return _scaled_haar(draw.permute(2, 3, 0, 1)).permute(2, 3, 0, 1).contiguous()


def flat_orthogonal(draw: Tensor) -> Tensor:
    """A convolution as one n_out × (n_in·k²) semi-orthogonal matrix (`torch.nn.init.orthogonal_`, up to scale)."""
    return _scaled_haar(draw.flatten(1)).reshape(draw.shape)


def delta_orthogonal(draw: Tensor) -> Tensor:
    """A convolution whose centre tap is k·√max(n_out, n_in)·Q and whose other taps are zero; dense as `orthogonal`.

    Source: Xiao et al. 2018, §3.3, rescaled so that the layer's total variance is that of the other schemes.

    Raises:
        InvalidValue: a convolution with more inputs than outputs, which cannot keep norms.
    """
    if draw.dim() == 2:
        return orthogonal(draw)
    n_out, n_in, height, width = draw.shape
    if n_in > n_out:
        raise InvalidValue(
            "scheme", "delta_orthogonal", f"n_in ≤ n_out in every convolution, not {n_in} inputs to {n_out} outputs"
        )
    weight = torch.zeros_like(draw)
    centre = ..., height // 2, width // 2
    weight[centre] = math.sqrt(height * width) * _scaled_haar(draw[centre])
    return weight


def _scaled_haar(draw: Tensor) -> Tensor:
    """√max(n_out, n_in)·Q for each (n_out, n_in) matrix of a batch, from the QR of the Gaussian `draw`.

    QR alone is not Haar: its Q depends on the routine's sign convention. Making R's diagonal positive makes the
    factorization unique, and Q Haar (Mezzadri 2007).
    """
    n_out, n_in = draw.shape[-2:]
    tall = draw if n_out >= n_in else draw.mT
    q, r = torch.linalg.qr(tall)
    q = q * torch.where(r.diagonal(dim1=-2, dim2=-1) < 0, -1.0, 1.0).unsqueeze(-2)
    return math.sqrt(max(n_out, n_in)) * (q if n_out >= n_in else q.mT)
