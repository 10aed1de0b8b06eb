"""Per-example gradients of any parameter without knowledge of its use, for what the recorder does not know."""

import torch
from torch import Tensor, nn

from orthontk.kernels.out_of_memory import raise_out_of_memory
from orthontk.kernels.parameters import StandIns
from orthontk.kernels.refusals import complete_backward

ROWS = 64  # of the gradients of all examples and directions, whose absolute values are copied at a time


def functional_gradients(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:  # each (N, A, *shape)
    """∂(direction · f(xᵢ))/∂θ for each named parameter θ; `directions` as from `cotangents`, (A, N, features).

    By `torch.func` for all examples and directions at once. What it cannot take, such as recurrent layers and
    autograd functions of one's own without a rule for `vmap`, goes through autograd one gradient at a time, and so does
    what it gets wrong (`torch.cdist`, for one, in 2.13).
    """
    try:
        found = _all_at_once(net, tensors, names, x, directions)
    except RuntimeError as error:  # all that torch says of an operation that `vmap` or `jacrev` does not know
        raise_out_of_memory(error)
        found = None
    with complete_backward():
        if found is None or not _agrees_with_autograd(found, net, tensors, x, directions):
            found = _one_at_a_time(net, tensors, names, x, directions)
    return found


def _all_at_once(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:
    chosen = {name: tensors.trainable[name].detach() for name in names}
    others = {name: p.detach() for name, p in tensors.trainable.items() if name not in names}

    def single(parameters: dict[str, Tensor], example: Tensor, weights: Tensor) -> Tensor:  # -> (A,)
        return weights @ tensors.call(net, example.unsqueeze(0), parameters | others).flatten()

    found = torch.func.vmap(torch.func.jacrev(single), in_dims=(None, 0, 1))(chosen, x, directions)
    return {name: found.pop(name).contiguous() for name in names}  # for each tile to read them as they are


def _agrees_with_autograd(
    found: dict[str, Tensor], net: nn.Module, tensors: StandIns, x: Tensor, directions: Tensor
) -> bool:
    """Whether one sum of all the gradients, with factors that differ, is what autograd finds for it in one pass."""
    count = directions[..., 0].numel()
    factors = torch.linspace(1, 2, count, dtype=directions.dtype, device=x.device).view(directions.shape[:2])  # (A, N)
    direction = (factors.unsqueeze(2) * directions).sum(0)
    outputs, sums = tensors.call(net, x), dict.fromkeys(found, directions.new_zeros(()))
    if outputs.requires_grad:
        parameters = [*tensors.trainable.values()]
        gradients = torch.autograd.grad(outputs, parameters, direction, materialize_grads=True)
        sums = dict(zip(tensors.trainable, gradients, strict=True))
    eps = torch.finfo(directions.dtype).eps
    # What is 0 but for rounding, such as the gradient of a shift before a LayerNorm, has the rounding of the others.
    least = 100 * eps * max(total.abs().max() for total in sums.values())
    for name, gradients in found.items():
        rows = gradients.view(count, -1)
        total = (factors.T.reshape(-1) @ rows).view(gradients.shape[2:])
        rounding = least + eps**0.5 * sum(part.abs().sum(0) for part in rows.split(ROWS)).max()
        if ((total - sums[name]).abs() > rounding).any():
            return False
    return True


def _one_at_a_time(
    net: nn.Module, tensors: StandIns, names: list[str], x: Tensor, directions: Tensor
) -> dict[str, Tensor]:
    parameters = [tensors.trainable[name] for name in names]
    found = [p.new_zeros(len(x), len(directions), *p.shape) for p in parameters]
    for i, example in enumerate(x):
        outputs = tensors.call(net, example.unsqueeze(0)).flatten()
        if not outputs.requires_grad:
            continue
        for a, direction in enumerate(directions[:, i]):
            gradients = torch.autograd.grad(outputs, parameters, direction, retain_graph=True, allow_unused=True)
            for target, gradient in zip(found, gradients, strict=True):
                if gradient is not None:
                    target[i, a] = gradient
    return {name: gradients.detach() for name, gradients in zip(names, found, strict=True)}
