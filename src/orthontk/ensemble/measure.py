"""Which chunks train fastest: a few steps of each kind in turns, for a small share of what the training takes."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments import LightningEnvironment
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from orthontk.ensemble.optimizer import Leaves, OptimizerFactory
from orthontk.ensemble.stack import Loss, StackedNetwork

SHARE = 0.03  # of all the training's steps, which measuring may take
FEWEST_ROUNDS, MOST_ROUNDS = 3, 16  # the first in a row warms up
TOO_SLOW = 1.5  # times the fastest, after three rounds: a single one may only have met other work on the machine
CACHED_BYTES = 2**22  # of a layer's activations, up to which one operation for all replicas is no loss on a CPU
EMPTY_STEPS = 30

Kind = tuple[bool, int]  # batched or not, replicas in a chunk


@dataclass(frozen=True)
class Work:
    """What a step of one replica is made of."""

    template: nn.Module
    optimizer: OptimizerFactory
    loss: Loss
    x: Tensor  # a minibatch
    y: Tensor
    eval_batch_size: int
    shared_batches: bool = True

    @cached_property
    def activations(self) -> list[int]:
        """Entries of every layer's output for one example, and of the network's: layers may be written out in it."""
        outputs: list[Any] = []  # tensors, or what a layer such as nn.GRU has of them
        x = self.x[:2].to(next(self.template.parameters()).dtype)
        parts = [part for part in self.template.modules() if not list(part.children())]
        hooks = [part.register_forward_hook(lambda _, __, output: outputs.append(output)) for part in parts]
        with torch.no_grad():
            outputs.append(self.template(x))
        for hook in hooks:
            hook.remove()
        leaves = [[leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)] for output in outputs]
        return [sum(leaf.numel() for leaf in own) // len(x) for own in leaves]


def kinds(largest: int) -> list[Kind]:
    """What there is to choose from: the sizes that cut `largest` into 1, 2, 4, … nearly equal chunks, and no stack.

    >>> kinds(20)
    [(True, 2), (True, 3), (True, 5), (True, 10), (True, 20), (False, 20)]
    """
    sizes = {math.ceil(largest / 2**halvings) for halvings in range(largest.bit_length())}
    return [*((True, size) for size in sorted(sizes) if size > 1 or largest == 1), (False, largest)]


def can_be_batched(work: Work) -> bool:
    """Whether replicas can go through each operation together: for a few of torch's, `torch.vmap` has no rule.

    Decided by trial, with two replicas and two examples.
    """
    stack = filled_stack(work, 2, batched=True)
    try:
        stack.gradients(work.x[:2].to(next(stack.parameters()).dtype), work.y[:2], work.loss, True)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        return False
    return True


def unmeasured(work: Work, choice: Sequence[Kind]) -> Kind:
    """What to take where measuring would not pay: as many at once as stay in a processor's cache; all on a GPU."""
    each = max(work.activations) * len(work.x) * next(work.template.parameters()).element_size()
    stacks = [size for batched, size in choice if batched and (work.x.is_cuda or size * each <= CACHED_BYTES)]
    return (True, max(stacks)) if stacks else next(kind for kind in choice if not kind[0])


def rounds_of(choice: Sequence[Kind], replica_steps: int) -> int:
    """How often all kinds can be tried within `SHARE` of the training's steps, counted by replica."""
    return min(MOST_ROUNDS, int(SHARE * replica_steps) // sum(_tried(kind) for kind in choice))


def _tried(kind: Kind) -> int:
    """Replicas in a trial; networks one after another take as long each, once they do not find each other's cache."""
    batched, size = kind
    return size if batched else min(size, 4)


def measured(work: Work, choice: Sequence[Kind], rounds: int) -> dict[Kind, float]:
    """Seconds a step takes for each replica, by kind: the fastest of some rounds, and its share of Lightning's part.

    All kinds are tried in turns, so that whatever else the machine does hits all of them: a few rounds in a row of one
    kind, whose memory is then free for the next.
    """
    left = list(choice)
    best: dict[Kind, float] = {}
    turns = rounds // FEWEST_ROUNDS
    for turn in range(turns):
        in_a_row = rounds * (turn + 1) // turns - rounds * turn // turns
        for kind in left:
            best[kind] = min(_fastest(work, kind, in_a_row), best.get(kind, math.inf))
        slowest = TOO_SLOW * min(best.values())
        left = [kind for kind in left if best[kind] <= slowest]
    step = empty_step()
    return {kind: seconds + step / kind[1] for kind, seconds in best.items()}


def _fastest(work: Work, kind: Kind, rounds: int) -> float:
    """Seconds of the fastest of some steps, for each replica."""
    step = training_step(work, _tried(kind), kind[0])
    return min(_timed(step, work.x.is_cuda) for _ in range(rounds)) / _tried(kind)


def training_step(work: Work, replicas: int, batched: bool) -> Callable[[], None]:
    """A step of a chunk, whose learning rate is 0 so that it can be repeated."""
    stack = filled_stack(work, replicas, batched)
    leaves = Leaves(stack, [1.0] * replicas, [1.0])
    optimizer = work.optimizer([{**group, "lr": 0.0} for group in leaves.parameter_groups()])
    x = work.x.to(next(stack.parameters()).dtype)

    def step() -> None:
        leaves.place(stack.gradients(x, work.y, work.loss, True)[2])
        optimizer.step()

    return step


def filled_stack(work: Work, replicas: int, batched: bool) -> StackedNetwork:
    """A stack whose replicas are all the template."""
    stack = StackedNetwork(work.template, replicas, batched).to(work.x.device)
    for row in range(replicas):
        stack.fill(row, work.template)
    return stack


def _timed(step: Callable[[], None], on_gpu: bool) -> float:
    start = time.perf_counter()
    step()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def empty_step() -> float:
    """Seconds of Lightning's loop around a step that does nothing: the fastest of some."""
    clock = _Clock()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        plugins=[LightningEnvironment()],  # whatever launched this process
        max_steps=EMPTY_STEPS,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[clock],
    )
    trainer.fit(_Nothing(), _Nowhere())
    return min(after - before for before, after in pairwise(clock.times))


class _Clock(pl.Callback):
    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.times.append(time.perf_counter())


class _Nothing(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        return self.weight

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


class _Nowhere:
    """Empty batches without end; a DataLoader would be a cost of its own."""

    def __len__(self) -> int:
        return EMPTY_STEPS

    def __iter__(self) -> Iterator[Tensor]:
        return iter([torch.zeros(())] * EMPTY_STEPS)
