"""Losses of this project's own."""

import torch

from orthontk.training import OneHotMSE


def test_half_precision_outputs_have_a_loss_in_single_precision():
    outputs, labels = torch.randn(64, 10, generator=torch.Generator().manual_seed(0)), torch.arange(64) % 10
    rounded = outputs.bfloat16()
    assert torch.equal(OneHotMSE()(rounded, labels), OneHotMSE()(rounded.float(), labels))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(OneHotMSE()(rounded, labels), OneHotMSE()(rounded.float(), labels))
