"""The recipe that PyTorch's own tutorial gives for the empirical NTK: per-example Jacobians, contracted."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap


def recipe_ntk(net: nn.Module, x1: Tensor, x2: Tensor | None) -> Tensor:  # (N1, N2, O, O)
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    def single(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(net, parameters, (x.unsqueeze(0),)).squeeze(0)

    jacobian = vmap(jacrev(single), in_dims=(None, 0))
    j1 = jacobian(parameters, x1)
    j2 = j1 if x2 is None else jacobian(parameters, x2)
    return sum(torch.einsum("naf,mbf->nmab", j1[name].flatten(2), j2[name].flatten(2)) for name in parameters)


def recipe_bytes(net: nn.Module, n1: int, n2: int | None, outputs: int) -> int:
    """What the Jacobians alone need."""
    parameters = sum(p.numel() * p.element_size() for p in net.parameters())
    return (n1 + (n2 or 0)) * outputs * parameters
