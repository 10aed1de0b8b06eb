"""A learning rate a replica with torch's own optimizers: parameter groups of views into the stack."""

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from orthontk.checks import InvalidValue
from orthontk.ensemble.stack import Gradients, StackedNetwork

OptimizerFactory = Callable[[Any], Optimizer]


class Leaves:
    """What the optimizer updates: for each learning rate, views of the stacked parameters.

    Replicas are ordered by learning rate, so the replicas of one rate are a contiguous part of every stacked tensor. An
    elementwise optimizer then treats every replica as it would treat it alone, in place and unaware of replicas.

    Args:
        stack: its tensors are viewed, so a stack that is moved or made smaller needs new leaves.
        rates: the learning rate of each replica, ascending.
        groups: every learning rate that there was at the beginning; those whose replicas have all ended keep an empty
            group, so that schedules and checkpoints still find theirs.
    """

    def __init__(self, stack: StackedNetwork, rates: Sequence[float], groups: Sequence[float]) -> None:
        self.rates, self.groups, self.batched = list(rates), list(groups), stack.batched
        self.parts = {rate: self._parts(rate) for rate in self.groups}
        self.views: dict[float, list[Tensor]] = {
            rate: [value.detach()[part].requires_grad_() for part in self.parts[rate] for value in stack.trained()]
            for rate in self.groups
        }

    def _parts(self, rate: float) -> list[slice | int]:
        """The replicas of a rate: all of them together in a batched stack, otherwise each by itself."""
        rows = [row for row, other in enumerate(self.rates) if other == rate]
        if not self.batched or not rows:
            return rows
        return [slice(rows[0], rows[-1] + 1)]

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": self.views[rate], "lr": rate} for rate in self.groups]

    def place(self, gradients: list[Gradients]) -> None:
        """Hand the leaves their parts of the stack's gradients."""
        for rate in self.groups:
            views = iter(self.views[rate])
            for part in self.parts[rate]:
                for gradient in gradients[0] if self.batched else gradients[part]:
                    next(views).grad = gradient[part] if self.batched and gradient is not None else gradient


@torch.no_grad()
def keep_replicas(optimizer: Optimizer, before: Leaves, after: Leaves, kept: Sequence[int]) -> None:
    """Let `optimizer` go on with the leaves `after`, of which `kept` are the replicas of `before` that are left."""
    old_state = optimizer.state
    state = type(old_state)(dict)
    for group, rate in zip(optimizer.param_groups, before.groups, strict=True):
        parameters = len(before.views[rate]) // max(len(before.parts[rate]), 1)
        rows = [row for row, other in enumerate(before.rates) if other == rate]
        local = [rows.index(row) for row in kept if row in rows]
        for place, view in enumerate(after.views[rate]):
            part, parameter = divmod(place, parameters)
            source = part if before.batched else local[part]
            old = before.views[rate][source * parameters + parameter]
            if old in old_state:
                state[view] = {
                    name: _rows_of(value, old, local if before.batched else None)
                    for name, value in old_state[old].items()
                }
        group["params"] = after.views[rate]
    optimizer.state = state


def _rows_of(value: Any, leaf: Tensor, rows: list[int] | None) -> Any:
    """What an optimizer keeps of a leaf, for some of the leaf's replicas; a step count is that of all."""
    if rows is None or not isinstance(value, Tensor) or value.shape != leaf.shape:
        return value
    return value[torch.tensor(rows, device=value.device)]


def check_elementwise(factory: OptimizerFactory) -> None:
    """Refuse an optimizer whose update of one replica would depend on the others, or on there being others.

    Decided by trial: three steps on stacks of two parameters, of none to four dimensions each, against the same on each
    of them.

    Raises:
        InvalidValue: the two differ, as they also do where random numbers are drawn, or it takes no parameter groups.
    """
    generator = torch.Generator().manual_seed(0)
    gradients = 10 * torch.randn(3, 2, 4, 3, 3, 3, dtype=torch.float64, generator=generator)
    try:
        elementwise = all(_treats_alone(factory, gradients[(..., *[0] * fixed)]) for fixed in range(5))
    except (RuntimeError, ValueError, TypeError, AttributeError):  # AttributeError: a group taken for a parameter
        elementwise = False
    if not elementwise:
        what = "takes parameter groups, is elementwise for any number of dimensions, and draws no random numbers"
        name = getattr(factory, "func", factory).__name__
        raise InvalidValue("optimizer", name, f"an optimizer that {what}, in an ensemble")


def _treats_alone(factory: OptimizerFactory, gradients: Tensor) -> bool:
    """Whether these gradients (steps, 2, …) take a stack of two parameters where they take each."""
    alone = [_trial(factory, gradients[:, row]) for row in (0, 1)]
    return torch.allclose(_trial(factory, gradients), torch.stack(alone), rtol=1e-10, atol=1e-12)


def _trial(factory: OptimizerFactory, gradients: Tensor) -> Tensor:
    """Where these gradients (steps, …) take a parameter of ones."""
    leaf = torch.ones_like(gradients[0], requires_grad=True)
    optimizer = factory([{"params": [leaf]}])
    for gradient in gradients:
        leaf.grad = gradient.clone()
        optimizer.step()
    return leaf.detach()


@torch.no_grad()
def clip_by_norm(gradients: list[Gradients], limit: float, batched: bool) -> None:
    """Scale each replica's gradient, in place, to a norm of at most `limit`, as `clip_grad_norm_` does for one."""
    gradients = [[gradient for gradient in own if gradient is not None] for own in gradients]
    if not batched:
        for own in gradients:
            torch.nn.utils.clip_grads_with_norm_(_with_gradients(own), limit, torch.nn.utils.get_total_norm(own))
        return
    (stacked,) = gradients
    norms = torch.stack([gradient.reshape(len(gradient), -1).norm(dim=1) for gradient in stacked]).norm(dim=0)  # (R,)
    factors = (limit / (norms + 1e-6)).clamp(max=1.0)
    for gradient in stacked:
        gradient.mul_(factors.view(-1, *[1] * (gradient.dim() - 1)))


def _with_gradients(gradients: list[Tensor]) -> list[Tensor]:
    leaves = [torch.empty_like(gradient) for gradient in gradients]
    for leaf, gradient in zip(leaves, gradients, strict=True):
        leaf.grad = gradient
    return leaves


def distinct(rates: Sequence[float]) -> list[float]:
    """The different values of an ascending sequence.

    >>> distinct([0.1, 0.1, 0.5])
    [0.1, 0.5]
    """
    if any(first > second for first, second in pairwise(rates)):
        raise InvalidValue("rates", list(rates), "learning rates in ascending order")
    return [rate for rate, _ in groupby(rates)]
