"""The naive empirical NTK: Jacobians of every example by `torch.func`, contracted. Memory N·O·P."""

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev


def jacobian(net: nn.Module, x: Tensor) -> Tensor:  # (N, O, P)
    trainable = {name: p.detach() for name, p in net.named_parameters() if p.requires_grad}

    def single(parameters: dict[str, Tensor], example: Tensor) -> Tensor:
        return functional_call(net, parameters, (example.unsqueeze(0),)).flatten()

    examples = [jacrev(single)(trainable, example) for example in x]
    return torch.stack([torch.cat([g.flatten(1) for g in gradients.values()], 1) for gradients in examples])


def naive_ntk(net: nn.Module, x1: Tensor, x2: Tensor | None = None, outputs: str = "full") -> Tensor:
    j1 = jacobian(net, x1)
    j2 = j1 if x2 is None else jacobian(net, x2)
    full = torch.einsum("iap,jbp->ijab", j1, j2)
    if outputs == "full":
        return full
    if outputs == "trace":
        return full.diagonal(dim1=2, dim2=3).mean(-1)
    return full.mean((2, 3)) * full.shape[2]  # (1/√O)² ΣₐΣᵦ
