"""Per-example gradients of any parameter through `torch.func`, for what the recorder does not know."""

import torch
from torch import Tensor, nn

from orthontk.kernels.parameters import StandIns


def functional_gradients(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:  # each (N, A, *shape)
    """∂(direction · f(xᵢ))/∂θ for each named parameter θ; `directions` as from `cotangents`, (A, N, features)."""
    chosen = {name: tensors.trainable[name].detach() for name in names}
    others = {name: p.detach() for name, p in tensors.trainable.items() if name not in names} | tensors.fixed

    def single(parameters: dict[str, Tensor], example: Tensor, weights: Tensor) -> Tensor:  # -> (A,)
        outputs = torch.func.functional_call(net, parameters | others, (example.unsqueeze(0),))
        return weights @ outputs.flatten()

    jacobian = torch.func.vmap(torch.func.jacrev(single), in_dims=(None, 0, 1))
    return jacobian(chosen, x, directions)
