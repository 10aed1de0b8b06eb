"""How a GPU multiplies while a network trains: at full precision unless asked, and the same bits every time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig, OmegaConf

# PyTorch's own defaults differ from one kind of layer to the other: TF32 in convolutions, full precision in products.
PLACES = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)


@contextmanager
def training_arithmetic(tf32: bool) -> Iterator[None]:
    """TF32 in all of a GPU's float32 products or in none, and convolutions that repeat; as before on leaving."""
    cudnn = torch.backends.cudnn
    before = [place.fp32_precision for place in PLACES], cudnn.deterministic, cudnn.benchmark
    try:
        _set(["tf32" if tf32 else "ieee"] * len(PLACES), deterministic=True, benchmark=False)
        yield
    finally:
        _set(*before)


def _set(precisions: list[str], deterministic: bool, benchmark: bool) -> None:
    for place, precision in zip(PLACES, precisions, strict=True):
        place.fp32_precision = precision
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = deterministic, benchmark


def without_tf32(trainer: DictConfig) -> DictConfig:
    """The settings that Lightning's Trainer takes itself."""
    trainer = OmegaConf.create(OmegaConf.to_container(trainer, resolve=True))
    trainer.pop("tf32", None)
    return trainer
