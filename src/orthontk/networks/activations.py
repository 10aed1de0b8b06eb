"""The elementwise nonlinearities φ, by name or as any elementwise `torch.nn` module."""

import copy
import inspect

import torch
from torch import Tensor, nn

from orthontk.checks import InvalidValue


class Erf(nn.Module):
    """φ(z) = erf(z) = (2/√π) ∫₀ᶻ exp(−t²) dt, elementwise."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.erf(z)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "erf": Erf,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,  # slope 0.01 for z < 0
    "gelu": nn.GELU,  # the exact one: z·P(N(0,1) ≤ z)
    "identity": nn.Identity,
}


def make_activation(activation: str | nn.Module) -> nn.Module:
    """A fresh module for φ.

    Args:
        activation: a name in `ACTIVATIONS`, the name of an elementwise `torch.nn` class ("SiLU"), or an elementwise
            module (copied, so that two layers never share a parameter by accident).

    Raises:
        InvalidValue: the name is unknown, or the module mixes elements or is random (Softmax, Dropout, …).

    >>> make_activation("tanh")
    Tanh()
    >>> make_activation("SiLU")
    SiLU()
    """
    if isinstance(activation, nn.Module):
        module = copy.deepcopy(activation)
    elif activation in ACTIVATIONS:
        return ACTIVATIONS[activation]()
    else:
        module = _torch_module(activation)
    if not _is_elementwise(module):
        raise InvalidValue("activation", activation, "an elementwise, deterministic module")
    return module


def _torch_module(name: object) -> nn.Module:
    candidate = getattr(nn, name, None) if isinstance(name, str) else None
    if inspect.isclass(candidate) and issubclass(candidate, nn.Module):
        try:
            return candidate()
        except TypeError:  # a module that needs arguments has no business being named without them
            pass
    accepted = ", ".join(ACTIVATIONS)
    raise InvalidValue("activation", name, f"one of {accepted}, or an elementwise torch.nn class such as SiLU")


def _is_elementwise(module: nn.Module) -> bool:
    """Whether φ of a tensor is φ of each of its elements, and the same each time."""
    dtype = next((p.dtype for p in module.parameters()), torch.float64)
    z = torch.linspace(-2, 2, 12, dtype=dtype).reshape(3, 4)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            whole = module(z)
            single = torch.stack([module(v.reshape(1, 1)).reshape(()) for v in z.flatten()]).reshape(z.shape)
    except (RuntimeError, ValueError, IndexError, TypeError, NotImplementedError):
        return False
    return whole.shape == z.shape and torch.allclose(whole, single)
