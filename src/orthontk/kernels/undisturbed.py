"""What a computation about a network must neither be disturbed by nor leave behind."""

import operator
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils import parametrize

from orthontk.kernels.precision import exact_arithmetic
from orthontk.kernels.refusals import no_random_numbers

Container = list | set | dict


@contextmanager
def undisturbed(net: nn.Module, device: torch.device) -> Iterator[None]:
    """Exact arithmetic and no random numbers inside; settings, generators and the network's attributes as before after.

    Raises:
        InvalidValue: random numbers were drawn.
    """
    with (
        exact_arithmetic(device),
        no_random_numbers(device),
        _differentiable(net),
        _parametrizations_computed(),
        _attributes_kept(net),
        warnings.catch_warnings(),
    ):
        # Of operations that `vmap` takes one by one, which a user can do nothing about.
        warnings.filterwarnings("ignore", message="There is a performance drop")
        # Of the thread that goes backward, when it is the first to multiply on a GPU.
        warnings.filterwarnings("ignore", message="Attempting to run cuBLAS, but there was no current CUDA context")
        yield


@contextmanager
def _differentiable(net: nn.Module) -> Iterator[None]:
    """Recurrent layers without cuDNN, which takes them backward in training mode only."""
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = before and not any(isinstance(module, nn.RNNBase) for module in net.modules())
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before


@contextmanager
def _parametrizations_computed() -> Iterator[None]:
    """Also inside the caller's `parametrize.cached()`, whose weights are of other tensors than the stand-ins."""
    before = parametrize._cache_enabled, parametrize._cache
    parametrize._cache_enabled, parametrize._cache = 0, {}
    try:
        yield
    finally:
        parametrize._cache_enabled, parametrize._cache = before


@contextmanager
def _attributes_kept(net: nn.Module) -> Iterator[None]:
    """Modules may set attributes in their forward pass: counters, or a weight made of parameters (`weight_norm`).

    Also what they add to lists, sets and dictionaries, among these torch's own of buffers, modules and hooks; of
    tensors that are no buffers, no copy is kept.
    """
    before = [(module, dict(vars(module))) for module in net.modules()]
    values = [value for _, attributes in before for value in attributes.values()]
    containers = [(value, value.copy()) for value in values if isinstance(value, Container)]
    try:
        yield
    finally:
        for module, attributes in before:
            vars(module).clear()
            vars(module).update(attributes)
        for value, content in containers:
            if not _same(value, content):  # some do not let themselves be emptied
                value.clear()
                if isinstance(value, list):
                    value.extend(content)
                else:
                    value.update(content)


def _same(value: Container, content: Container) -> bool:
    """Whether the very same objects are in two lists, sets or dictionaries, in the same order."""
    parts = ([*one, *one.values()] if isinstance(one, dict) else one for one in (value, content))
    return len(value) == len(content) and all(map(operator.is_, *parts))
