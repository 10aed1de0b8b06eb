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
            module (copied, so that two layers never share a parameter by accident; a copy never works in place,
            since kernels need the pre-activations that it would overwrite).

    Raises:
        InvalidValue: the name is unknown, or the module mixes elements or is random (Softmax, Dropout, …).

    >>> make_activation("tanh")
    Tanh()
    >>> make_activation("SiLU")
    SiLU()
    """
    if isinstance(activation, str) and activation in ACTIVATIONS:
        return ACTIVATIONS[activation]()
    module = activation if isinstance(activation, nn.Module) else _torch_module(activation)
    if not _is_elementwise(module):
        raise InvalidValue("activation", activation, "an elementwise, deterministic module")
    return _out_of_place(copy.deepcopy(module))


def _torch_module(name: object) -> nn.Module:
    candidate = getattr(nn, name, None) if isinstance(name, str) else None
    if inspect.isclass(candidate) and issubclass(candidate, nn.Module):
        try:
            return candidate()
        except TypeError:  # a module that needs arguments has no business being named without them
            pass
    accepted = ", ".join(ACTIVATIONS)
    raise InvalidValue("activation", name, f"one of {accepted}, or an elementwise torch.nn class such as SiLU")


def _out_of_place(module: nn.Module) -> nn.Module:
    for part in module.modules():
        if getattr(part, "inplace", False):
            part.inplace = False
    return module


def _is_elementwise(module: nn.Module) -> bool:
    """Whether φ of a tensor is φ of each of its elements, draws no random numbers and leaves its input alone.

    Decided by trial, as while training: a Dropout that was set to evaluate would drop again once training starts.
    """
    dtype = next((p.dtype for p in module.parameters()), torch.float64)
    values = torch.linspace(-2, 2, 24, dtype=dtype)
    try:
        trial = _out_of_place(copy.deepcopy(module).cpu().train())
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            state = torch.get_rng_state()
            single = torch.cat([trial(v.reshape(1, 1)).reshape(1) for v in values])
            for shape in ((6, 4), (2, 3, 2, 2)):  # a batch of features, a batch of images
                z = values.reshape(shape).clone()
                phi = trial(z)
                elementwise = phi.shape == z.shape and torch.allclose(phi.flatten(), single)
                if not elementwise or not torch.equal(z.flatten(), values):
                    return False
            return torch.equal(torch.get_rng_state(), state)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
