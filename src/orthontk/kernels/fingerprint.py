"""A hash of what a kernel depends on."""

import hashlib
import re

import torch
from torch import Tensor, nn

from orthontk.kernels.parameters import StandIns


def description(net: nn.Module) -> str:
    """The modules, and those of their attributes that are plain values, of which a forward pass may make use."""
    modules = re.sub(r"0x[0-9a-f]+", "", str(net))  # addresses, in the names of some functions
    attributes = [
        f"{path}.{name}={value!r}"
        for path, module in net.named_modules()
        for name, value in sorted(vars(module).items())
        if not name.startswith("_") and isinstance(value, bool | int | float | complex | str | tuple)
    ]
    return "\n".join([modules, *attributes])


def fingerprint(tensors: StandIns, inputs: list[Tensor | None], *settings: object) -> str:
    digest = hashlib.sha256(repr((torch.__version__, *settings)).encode())
    for name, tensor in [*tensors.named(), *enumerate(inputs)]:
        digest.update(f"{name} {None if tensor is None else (tensor.dtype, tuple(tensor.shape))}".encode())
        if tensor is not None:
            digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
