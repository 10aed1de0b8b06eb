"""Random numbers for tests of kernels, in float64."""

import torch
from torch import nn

from orthontk.init import initialize

TOKENS = torch.randint(0, 7, (5, 6), generator=torch.Generator().manual_seed(3))


def inputs(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(net: nn.Module) -> nn.Module:
    """All parameters random, those of normalizations too; dyadic scale factors would hide errors."""
    generator = torch.Generator().manual_seed(7)
    for p in net.double().parameters():
        p.data = 0.6 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    for name, buffer in net.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
        elif name.endswith("running_mean"):
            buffer.normal_(generator=generator)
    return net.eval()


def gaussian(net: nn.Module) -> nn.Module:
    """Of our own layers."""
    return initialize(net.double(), "gaussian", torch.Generator().manual_seed(0))
