"""Networks of which no kernel of single examples exists, refused before or while they run."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.lazy import LazyModuleMixin

from orthontk.checks import InvalidValue
from orthontk.kernels.out_of_memory import raise_out_of_memory


def check_network(net: nn.Module) -> None:
    """Refuses, by name, modules that mix or randomize examples.

    Raises:
        InvalidValue: a BatchNorm that uses the batch's own statistics, active dropout, TorchScript, an embedding that
            rescales its weights, or a lazy module that was never called.
    """
    for name, module in net.named_modules():
        kind, place = type(module).__name__, name or "net"
        if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
            raise InvalidValue(place, kind, "parameters that have a shape; call the network once with some inputs")
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None):
            raise InvalidValue(place, kind, "running statistics, as examples must not mix; call net.eval()")
        dropout = module.p if isinstance(module, _DropoutNd) else getattr(module, "dropout", 0)
        if module.training and isinstance(dropout, float) and dropout > 0:
            raise InvalidValue(place, f"{kind}(p={dropout:g})", "no randomness; call net.eval()")
        if isinstance(module, nn.Embedding | nn.EmbeddingBag) and module.max_norm is not None:
            raise InvalidValue(place, f"{kind}(max_norm=…)", "an embedding that does not rescale its own weights")
        if isinstance(module, torch.jit.ScriptModule):
            raise InvalidValue(place, kind, "an nn.Module that is not TorchScript, whose operations cannot be seen")


@contextmanager
def no_random_numbers(device: torch.device) -> Iterator[None]:
    """Refuses code that draws from the global generators of torch, NumPy or Python, and puts torch's back."""
    cuda = [device] if device.type == "cuda" else []
    before = _random_state(cuda)

    def refuse_drawn() -> None:
        if _random_state(cuda) != before:
            raise InvalidValue("net", "random numbers in the forward pass", "a deterministic network; call net.eval()")

    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        except InvalidValue:  # such as examples that seem to depend on each other
            refuse_drawn()
            raise
        refuse_drawn()


@contextmanager
def complete_backward() -> Iterator[None]:
    """Refuses what autograd does not take back, or out of sight, told by what torch says of it.

    Raises:
        InvalidValue: values that a backward pass needs were written to; activation checkpointing, as what is computed
            anew the recorder does not see.
    """
    try:
        yield
    except RuntimeError as error:
        if "modified by an inplace operation" in str(error):
            accepted = "a network that torch can differentiate, whose layers' inputs are not overwritten"
            raise InvalidValue("net", "an in-place operation in the forward pass", accepted) from error
        if "checkpoint" not in str(error):
            raise
        accepted = "a network that keeps its activations; memory_limit bounds what they take"
        raise InvalidValue("net", "torch.utils.checkpoint in the forward pass", accepted) from error


@contextmanager
def taking(net: nn.Module, name: str, x: Tensor) -> Iterator[None]:
    """Refuses a network whose forward pass fails on inputs, called `name`, whichever of the two it is that is wrong."""
    try:
        yield
    except InvalidValue:
        raise
    except (RuntimeError, IndexError, ValueError, AssertionError) as error:  # as torch raises for sizes and types
        if isinstance(error, RuntimeError):
            raise_out_of_memory(error)
        said = next(iter(str(error).splitlines()), type(error).__name__)
        accepted = (
            f"one that takes {name}, {x.dtype} of shape {tuple(x.shape)}, in batches of any size; it says: {said}"
        )
        raise InvalidValue("net", type(net).__name__, accepted) from error


def _random_state(cuda: list[torch.device]) -> list[Any]:
    of_torch = [torch.random.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in cuda)]
    _, keys, *place = np.random.get_state()
    return [*(state.numpy().tobytes() for state in of_torch), keys.tobytes(), place, random.getstate()]
