"""Circular padding with a backward pass of its own."""

import pytest
import torch
from drawn import inputs
from torch import nn

from orthontk.kernels.padding import CircularPad


@pytest.mark.parametrize("margins", [(1, 2), (1, 1, 2, 0), (0, 2, 1, 1, 3, 1)])
def test_circular_padding_has_the_gradient_of_torchs_own(margins):
    h = inputs(2, 3, *(4, 5, 6)[: len(margins) // 2]).requires_grad_()
    expected = nn.functional.pad(h, margins, mode="circular")
    padded = CircularPad.apply(h, margins)
    assert torch.equal(padded, expected)
    direction = inputs(*padded.shape, seed=2)
    of_ours, of_torchs = (torch.autograd.grad(z, h, direction)[0] for z in (padded, expected))
    torch.testing.assert_close(of_ours, of_torchs, rtol=1e-14, atol=1e-14)
