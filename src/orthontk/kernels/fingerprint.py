"""A hash of what a kernel depends on."""

import hashlib

import torch
from torch import Tensor

from orthontk.kernels.parameters import StandIns


def fingerprint(tensors: StandIns, inputs: list[Tensor | None], *settings: object) -> str:
    digest = hashlib.sha256(repr((torch.__version__, *settings)).encode())
    for name, tensor in [*tensors.named(), *enumerate(inputs)]:
        digest.update(f"{name} {None if tensor is None else (tensor.dtype, tuple(tensor.shape))}".encode())
        if tensor is not None:
            digest.update(tensor.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
