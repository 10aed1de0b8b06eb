"""How an ensemble is cut into chunks: measured once, kept in `ensemble.json`, and reused when a run resumes.

The sizes of what is multiplied decide the last bits of the results, so a resumed run has to have the same chunks.
"""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue, integer
from orthontk.ensemble.optimizer import Leaves, OptimizerFactory
from orthontk.ensemble.replicas import Replica
from orthontk.ensemble.stack import Loss, StackedNetwork
from orthontk.files import read_json, write_json

FILE = "ensemble.json"
SECONDS = 10.0  # that measuring may take in all; a step that has begun is finished
STEP_OVERHEAD = 4e-4  # seconds a step takes whatever the number of replicas
COPIES = 6  # of the parameters at most: they, their gradients, two averages of an optimizer, temporaries


@dataclass(frozen=True)
class Plan:
    """Chunks of `chunk` neighbouring replicas of the grid, each in a stack that is `batched` or not.

    `milliseconds` are those of a step for each replica, by what was tried, such as `batched 10`.
    """

    chunk: int
    batched: bool
    milliseconds: dict[str, float]

    def chunks(self, replicas: Sequence[Replica]) -> list[list[Replica]]:
        """As few chunks as `chunk` allows, of nearly equal sizes.

        >>> [len(chunk) for chunk in Plan(4, True, {}).chunks(range(10))]
        [3, 3, 4]
        """
        count = math.ceil(len(replicas) / self.chunk)
        bounds = [len(replicas) * place // count for place in range(count + 1)]
        return [list(replicas[start:end]) for start, end in pairwise(bounds)]


@dataclass(frozen=True)
class Work:
    """What a step of one replica is made of."""

    template: nn.Module
    optimizer: OptimizerFactory
    loss: Loss
    x: Tensor  # a minibatch
    y: Tensor
    eval_batch_size: int


def make_plan(directory: Path, work: Work, replicas: int, processes: int, settings: Any) -> Plan:
    """The plan in `directory`, or a new one, which is written there.

    Raises:
        InvalidValue: `ensemble.chunk` or `ensemble.memory_limit` is no positive integer, or one replica is too large.
    """
    path = directory / FILE
    if path.exists():
        return Plan(**read_json(path))
    most = min(math.ceil(replicas / processes), _most_in_memory(work, settings.memory_limit))
    plan = measured_plan(work, most, None if settings.chunk is None else integer("ensemble.chunk", settings.chunk))
    write_json(path, asdict(plan))
    return plan


def _most_in_memory(work: Work, limit: int | None) -> int:
    limit = _half_of_free(work.x.device) if limit is None else integer("ensemble.memory_limit", limit)
    each = bytes_of_replica(work)
    if each > limit:
        raise InvalidValue("ensemble.memory_limit", limit, f"at least {each}, the bytes that one replica may need")
    return limit // each


def _half_of_free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] // 2
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def bytes_of_replica(work: Work) -> int:
    """What training one replica needs beside the data: copies of its parameters, and activations."""
    parameters = sum(value.numel() for value in work.template.parameters())
    sizes = _activations(work.template, work.x[:2])
    training, evaluation = 2 * len(work.x) * sum(sizes), 3 * work.eval_batch_size * max(sizes)
    return next(work.template.parameters()).element_size() * (COPIES * parameters + max(training, evaluation))


def _activations(network: nn.Module, x: Tensor) -> list[int]:
    """Entries of every layer's output for one example."""
    sizes: list[int] = []
    parts = [part for part in network.modules() if not list(part.children())]
    hooks = [part.register_forward_hook(lambda _, __, z: sizes.append(z.numel() // len(x))) for part in parts]
    with torch.no_grad():
        network(x.to(next(network.parameters()).dtype))
    for hook in hooks:
        hook.remove()
    return sizes


def measured_plan(work: Work, most: int, chunk: int | None = None) -> Plan:
    """The fastest of what is tried, all of it within `most` replicas or, if given, `chunk`."""
    deadline = time.perf_counter() + SECONDS
    largest = most if chunk is None else min(most, chunk)
    seconds: dict[tuple[bool, int], float] = {(False, largest): _seconds(work, min(largest, 4), False, largest)}
    for size in _sizes(largest) if chunk is None else [largest]:
        best = min(seconds.values())
        smaller = [value for (batched, _), value in seconds.items() if batched]
        if smaller and (time.perf_counter() + 3 * size * best > deadline or smaller[-1] > 1.3 * best):
            break  # no time for more, or larger ones only get slower
        seconds[True, size] = _seconds(work, size, True, size)
    batched, size = min(seconds, key=seconds.__getitem__)
    names = {key: f"{'batched' if key[0] else 'separate'} {key[1]}" for key in seconds}
    return Plan(size, batched, {names[key]: round(1e3 * value, 4) for key, value in seconds.items()})


def _sizes(largest: int) -> Iterator[int]:
    """Small to large, by factors of about two, so that chunks of that size are nearly equal."""
    sizes = {math.ceil(largest / 2**halvings) for halvings in range(largest.bit_length())}
    yield from sorted(size for size in sizes if size > 1 or largest == 1)


def _seconds(work: Work, replicas: int, batched: bool, chunk: int) -> float:
    """The time of a training step for each replica; the fastest of a few."""
    stack = StackedNetwork(work.template, replicas, batched).to(work.x.device)
    for index in range(replicas):
        stack.fill(index, work.template)
    leaves = Leaves(stack, [1.0] * replicas, [1.0])
    groups = [{**group, "lr": 0.0} for group in leaves.parameter_groups()]
    optimizer = work.optimizer(groups)
    x = work.x.to(next(stack.parameters()).dtype)
    times: list[float] = []
    for trial in range(6):
        start = time.perf_counter()
        leaves.place(stack.gradients(x, work.y, work.loss, True)[2])
        optimizer.step()
        if x.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        if trial > 0 and sum(times) > 0.5:
            break
    return min(times) / replicas + STEP_OVERHEAD / chunk
