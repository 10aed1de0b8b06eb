"""Per-example gradients of any parameter without knowledge of its use, for what the recorder does not know."""

import torch
from torch import Tensor, nn

from orthontk.kernels.parameters import StandIns


def functional_gradients(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:  # each (N, A, *shape)
    """∂(direction · f(xᵢ))/∂θ for each named parameter θ; `directions` as from `cotangents`, (A, N, features).

    By `torch.func` for all examples and directions at once. What it cannot take, such as recurrent layers and
    autograd functions of one's own without a rule for `vmap`, goes through autograd one gradient at a time.
    """
    try:
        return _all_at_once(net, tensors, names, x, directions)
    except RuntimeError:  # which is all that torch says of an operation that `vmap` or `jacrev` does not know
        return _one_at_a_time(net, tensors, names, x, directions)


def _all_at_once(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:
    chosen = {name: tensors.trainable[name].detach() for name in names}
    others = {name: p.detach() for name, p in tensors.trainable.items() if name not in names} | tensors.fixed

    def single(parameters: dict[str, Tensor], example: Tensor, weights: Tensor) -> Tensor:  # -> (A,)
        outputs = torch.func.functional_call(net, parameters | others, (example.unsqueeze(0),))
        return weights @ outputs.flatten()

    jacobian = torch.func.vmap(torch.func.jacrev(single), in_dims=(None, 0, 1))
    return jacobian(chosen, x, directions)


def _one_at_a_time(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:
    parameters = [tensors.trainable[name] for name in names]
    found = [p.new_zeros(len(x), len(directions), *p.shape) for p in parameters]
    for i, example in enumerate(x):
        outputs = tensors.call(net, example.unsqueeze(0)).flatten()
        for a, direction in enumerate(directions[:, i]):
            gradients = torch.autograd.grad(outputs, parameters, direction, retain_graph=True, allow_unused=True)
            for target, gradient in zip(found, gradients, strict=True):
                if gradient is not None:
                    target[i, a] = gradient
    return {name: gradients.detach() for name, gradients in zip(names, found, strict=True)}
