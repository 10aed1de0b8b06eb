"""A labelled set of inputs, and class-balanced subsets of one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.counted import counted


@dataclass(frozen=True)
class Split:
    """Inputs with their labels; `indices`: their rows in the source's train or test set, to name a subset."""

    images: Tensor  # (N, C, H, W) or (N, d), float32
    labels: Tensor  # (N,), int64
    indices: Tensor  # (N,), int64

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device), self.indices.to(device))


def balanced_rows(
    name: str, size: int, labels: np.ndarray, classes: int, generator: np.random.Generator
) -> np.ndarray:  # (size,), ascending
    """Rows of a random subset of `labels` (N,) whose class counts differ by at most one.

    The classes that get one more when `classes` does not divide `size` are drawn too. From the same generator state,
    a smaller subset with as many rows in every class as a larger one or fewer is contained in it.

    Raises:
        InvalidValue: under `name`, if some class has too few examples.

    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> labels[balanced_rows("train_size", 4, labels, 2, np.random.default_rng(0))]
    array([0, 0, 1, 1])
    """
    shuffled = generator.permutation(len(labels))
    available = np.bincount(labels, minlength=classes)
    quota = np.full(classes, size // classes)
    larger = generator.permutation(np.flatnonzero(available > quota))
    quota[larger[: size % classes]] += 1
    if quota.sum() < size or (quota > available).any():
        rarest = int(available.min())
        most = rarest * classes + min(int((available > rarest).sum()), classes - 1)
        has = f"class {available.argmin()} has {counted(rarest, 'example')}"
        raise InvalidValue(name, size, f"at most {most} (class-balanced), as {has}")
    of_class = (shuffled[labels[shuffled] == label] for label in range(classes))
    return np.sort(np.concatenate([rows[:count] for rows, count in zip(of_class, quota, strict=True)]))
