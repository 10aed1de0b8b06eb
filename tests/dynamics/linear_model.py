"""A model that is linear in its parameters, and its training by torch."""

import torch
from torch import nn

N, M, P, OUTPUTS = 6, 4, 9, 3


class LinearModel(nn.Module):
    """f_a(x) = f0_a(x) + ∇_a(x)·θ with fixed features: its NTK is constant, and `full`."""

    def __init__(self, features, f0):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(features.shape[-1], dtype=torch.float64))
        self.features, self.f0 = features, f0

    def forward(self):
        return self.f0 + self.features @ self.theta


def train(features, f0, targets, loss, steps, lr, momentum):
    model = LinearModel(features, f0)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    outputs = [model().detach()]
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model()[:N], targets).backward()
        optimizer.step()
        outputs.append(model().detach())
    return torch.stack(outputs)
