"""Batches cut from a split that is already on the device: a permutation an epoch, one index_select a step.

The training batch of a step is a pure function of the seed and the step, so a run that resumes at step s sees what it
would have seen, and several processes together see what a single one does.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from orthontk.checks import InvalidValue, integer
from orthontk.data.split import Split

BATCH_ORDER = 3  # keeps this stream of random numbers apart from those that draw subsets; see orthontk.data.module


class StepBatches:
    """The training batches (x, y) of steps `start_step`, …, `max_steps` − 1.

    Every epoch has a fresh permutation, drawn from (seed, epoch), and ⌊N/B⌋ full batches of it: the remainder is
    dropped. `batch_size="full"` is full-batch gradient descent: every step sees the whole split in its natural order.

    The length is `max_steps`, also when the iteration starts later: Lightning counts a resumed run's batches from the
    beginning. For the same reason it can be saved and restored by `state_dict` and `load_state_dict`.

    Args:
        split: the training set, N examples.
        batch_size: B over all processes together, or "full".
        rank, world_size: this process gets the rank-th of `world_size` contiguous slices of every batch.

    Raises:
        InvalidValue: `batch_size` is above N or not a multiple of `world_size`.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int | str,
        seed: int,
        max_steps: int,
        start_step: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.split, self.seed = split, seed
        self.batch_size = check_batch_size(batch_size, len(split), world_size)
        self.shuffled = batch_size != "full"
        self.max_steps, self.next_step = integer("max_steps", max_steps, minimum=0), start_step
        slice_size = self.batch_size // world_size
        self.slice = slice(rank * slice_size, (rank + 1) * slice_size)
        self.steps_per_epoch = len(split) // self.batch_size
        self._epoch, self._order = -1, torch.empty(0)

    def __len__(self) -> int:
        return self.max_steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(self.next_step, self.max_steps):
            self.next_step = step + 1  # before the step, so that a checkpoint taken after it continues behind it
            yield self.batch(step)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:  # (B / world_size, ...), (B / world_size,)
        if not self.shuffled:
            return self.split.images[self.slice], self.split.labels[self.slice]
        rows = self.rows(step)
        return self.split.images.index_select(0, rows), self.split.labels.index_select(0, rows)

    def rows(self, step: int) -> Tensor:  # (B / world_size,)
        """The rows of the split that this process gets at `step`."""
        epoch, position = divmod(step, self.steps_per_epoch)
        first = position * self.batch_size
        return self.order(epoch)[first : first + self.batch_size][self.slice]

    def order(self, epoch: int) -> Tensor:  # (N,)
        """The order of the examples in an epoch, on the split's device."""
        if epoch != self._epoch:
            rows = np.arange(len(self.split))
            if self.shuffled:
                rows = np.random.default_rng([self.seed, BATCH_ORDER, epoch]).permutation(rows)
            self._epoch, self._order = epoch, torch.from_numpy(rows).to(self.split.labels.device)
        return self._order

    def state_dict(self) -> dict[str, int]:
        return {"next_step": self.next_step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.next_step = state["next_step"]


class EvaluationBatches:
    """Every example once, in order: contiguous (x, y) chunks of at most `batch_size` examples.

    Each of `world_size` processes gets a contiguous part of the split, none of it twice, and the same number of chunks,
    so that a synchronization at every chunk does not block. Where the processes do not divide the examples, a chunk may
    hold one more than `batch_size`.

    Raises:
        InvalidValue: fewer examples than processes.
    """

    def __init__(self, split: Split, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if len(split) < world_size:
            raise InvalidValue("world_size", world_size, f"at most {len(split)}, the examples to evaluate")
        self.split = split
        chunks = math.ceil(len(split) // world_size / batch_size)  # of the smallest part, so that none is empty
        start, end = (len(split) * r // world_size for r in (rank, rank + 1))
        self.bounds = [start + (end - start) * i // chunks for i in range(chunks + 1)]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start, end in pairwise(self.bounds):
            yield self.split.images[start:end], self.split.labels[start:end]


def check_batch_size(batch_size: int | str, available: int, world_size: int = 1) -> int:
    """The batch size as a number, if `available` examples and `world_size` processes allow it.

    >>> check_batch_size("full", 256)
    256
    """
    size = available
    if batch_size != "full":
        if isinstance(batch_size, str):
            raise InvalidValue("batch_size", batch_size, "full or an integer of at least 1")
        size = integer("batch_size", batch_size)
    if size > available:
        raise InvalidValue("batch_size", size, f"full or an integer of at most {available}, the training examples")
    if size % world_size:
        raise InvalidValue("batch_size", size, f"a multiple of {world_size}, the number of processes")
    return size
