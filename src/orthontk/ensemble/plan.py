"""How an ensemble is cut into chunks: chosen once, kept in `ensemble.json`, and reused when a run resumes.

The sizes of what is multiplied decide the last bits of the results, so a resumed run has to have the same chunks.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from orthontk.checks import InvalidValue, integer
from orthontk.ensemble.drawing import KEPT_BYTES
from orthontk.ensemble.measure import FEWEST_ROUNDS, Kind, Work, can_be_batched, kinds, measured, rounds_of, unmeasured
from orthontk.ensemble.replicas import Replica
from orthontk.files import read_json, write_json

FILE = "ensemble.json"
COPIES = 7  # of the parameters: they, gradients, an optimizer's averages, temporaries
COPIES_OF_INPUTS = 3  # of a batch that a replica has to itself: as drawn, beside the others', and flattened
CLEARLY = 1.1  # times as fast as what would be taken unmeasured has to be what replaces it: timings are noisy
CPU_MEMORY = 2**32  # bytes; larger chunks are no faster there


@dataclass(frozen=True)
class Plan:
    """Chunks of `chunk` neighbouring replicas of the grid, each in a stack that is `batched` or not.

    `milliseconds` are those of a step for each replica, by what was measured, such as `batched 10`; empty if nothing
    was, since the training is too short for it to pay.
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


def make_plan(directory: Path, work: Work, replicas: int, steps: int, processes: int, settings: Any) -> Plan:
    """The plan in `directory`, or a new one for `replicas` of `steps` updates each, which is written there."""
    path = directory / FILE
    if path.exists():
        return Plan(**read_json(path))
    own = math.ceil(replicas / processes)
    plan = new_plan(work, min(own, most_in_memory(work, settings)), own * steps, settings.chunk)
    write_json(path, asdict(plan))
    return plan


def new_plan(work: Work, most: int, replica_steps: int, chunk: int | None = None) -> Plan:
    """The fastest kind of chunk of at most `most` replicas, or of `chunk` if given, for `replica_steps` updates in all.

    It is measured where that takes a small share of the updates only, and no size is given: with one, the same command
    has the same chunks wherever and whenever it is started.
    """
    choice = kinds(most) if chunk is None else [(True, min(most, chunk)), (False, min(most, chunk))]
    if not can_be_batched(work):
        choice = [kind for kind in choice if not kind[0]]
    rounds, usual = rounds_of(choice, replica_steps), unmeasured(work, choice)
    if chunk is not None or rounds < FEWEST_ROUNDS:
        return Plan(usual[1], usual[0], {})
    seconds = measured(work, choice, rounds)
    batched, size = min(seconds, key=lambda kind: seconds[kind] / (CLEARLY if kind == usual else 1))
    return Plan(size, batched, {_name(kind): round(1e3 * value, 4) for kind, value in seconds.items()})


def _name(kind: Kind) -> str:
    return f"{'batched' if kind[0] else 'separate'} {kind[1]}"


def most_in_memory(work: Work, settings: Any) -> int:
    """Replicas at once.

    Raises:
        InvalidValue: `ensemble.memory_limit` is no positive integer, or not enough for one.
    """
    limit, each = _limit(work.x.device, settings.memory_limit), bytes_of_replica(work)
    if each > limit:
        raise InvalidValue("ensemble.memory_limit", limit, f"at least {each}, the bytes that one replica may need")
    return limit // each


def room_for_networks(work: Work, replicas: Sequence[Replica], plan: Plan, memory_limit: int | None) -> int:
    """Bytes of drawn networks to keep for other learning rates: on a CPU, what a chunk leaves of the limit.

    They are drawn in a CPU's memory, and a chunk on a GPU takes none of that.
    """
    if len({replica.learning_rate for replica in replicas}) == 1:
        return 0
    taken = 0 if work.x.is_cuda else plan.chunk * bytes_of_replica(work)
    return min(KEPT_BYTES, max(_limit(work.x.device, memory_limit) - taken, 0))


def _limit(device: torch.device, memory_limit: int | None) -> int:
    """By default the same at every start on the same machine, whatever happens to be free."""
    if memory_limit is not None:
        return integer("ensemble.memory_limit", memory_limit)
    return torch.cuda.get_device_properties(device).total_memory // 2 if device.type == "cuda" else CPU_MEMORY


def bytes_of_replica(work: Work) -> int:
    """What training one replica needs beside the data sets: copies of its parameters, activations, its own batches."""
    parameters = sum(value.numel() for value in work.template.parameters())
    sizes, inputs = work.activations, 0 if work.shared_batches else COPIES_OF_INPUTS * work.x[0].numel()
    training = len(work.x) * (2 * sum(sizes) + inputs)
    evaluation = work.eval_batch_size * (3 * max(sizes) + inputs)
    return next(work.template.parameters()).element_size() * (COPIES * parameters + max(training, evaluation))
