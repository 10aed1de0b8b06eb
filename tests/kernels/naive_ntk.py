"""The naive empirical NTK: gradients of every example and output by plain autograd, contracted. Memory N·O·P."""

import torch
from torch import Tensor, nn
from torch.func import functional_call


def jacobian(net: nn.Module, x: Tensor) -> Tensor:  # (N, O, P)
    trainable = {name: p.detach().requires_grad_() for name, p in net.named_parameters() if p.requires_grad}
    parameters = list(trainable.values())

    def gradient(output: Tensor) -> Tensor:
        if not output.requires_grad:
            return torch.cat([torch.zeros_like(p).flatten() for p in parameters])
        found = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        return torch.cat([g.flatten() for g in found])

    with torch.enable_grad():
        outputs = [functional_call(net, trainable, (example.unsqueeze(0).clone(),)).flatten() for example in x]
        return torch.stack([torch.stack([gradient(output) for output in example]) for example in outputs])


def naive_ntk(net: nn.Module, x1: Tensor, x2: Tensor | None = None, outputs: str = "full") -> Tensor:
    j1 = jacobian(net, x1)
    j2 = j1 if x2 is None else jacobian(net, x2)
    full = torch.einsum("iap,jbp->ijab", j1, j2)
    if outputs == "full":
        return full
    if outputs == "trace":
        return full.diagonal(dim1=2, dim2=3).mean(-1)
    return full.mean((2, 3)) * full.shape[2]  # (1/√O)² ΣₐΣᵦ
