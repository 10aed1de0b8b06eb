"""How a GPU multiplies while a network trains: at full precision unless asked, and the same bits every time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

MATMUL = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
CUDNN = (torch.backends.cudnn.conv, torch.backends.cudnn.rnn)


@contextmanager
def training_arithmetic(tf32: bool) -> Iterator[None]:
    """TF32 in all of a GPU's float32 products or in none, and convolutions that repeat; as before on leaving.

    PyTorch's own defaults differ from one kind of layer to the other: TF32 in convolutions, full precision in products.
    """
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.deterministic, cudnn.benchmark
    precisions = [place.fp32_precision for place in MATMUL + CUDNN]
    try:
        # By this setting, since Lightning asks for it, and PyTorch has no answer where its parts were set one by one.
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        _set_precisions(CUDNN, ["tf32" if tf32 else "ieee"] * 2)
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        _set_precisions(MATMUL + CUDNN, precisions)
        cudnn.deterministic, cudnn.benchmark = before[1:]


def _set_precisions(places: tuple, precisions: list[str]) -> None:
    for place, precision in zip(places, precisions, strict=True):
        place.fp32_precision = precision
