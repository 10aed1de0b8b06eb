"""nngeometry's Gram matrix, timed on request as `ntk_peer_neural_tangents.py` is.

It knows torch's own layers in the standard parameterization and zero padding only, and one set of inputs: the
arithmetic is that of the settings, the numbers are not.
"""

import json
import sys
import time
from itertools import pairwise

import torch
from nngeometry.gram import GramMatrix
from ntk_settings import OUTPUTS
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class ResNet(nn.Module):
    def __init__(self, channels: int, hidden: list[int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, hidden[0], 3, padding=1)
        self.convolutions = nn.ModuleList(nn.Conv2d(hidden[0], width, 3, padding=1) for width in hidden[1:])
        self.readout = nn.Linear(hidden[-1], OUTPUTS)

    def forward(self, x):
        h = self.first(x)
        for inner, outer in zip(self.convolutions[::2], self.convolutions[1::2], strict=True):
            h = h + outer(torch.tanh(inner(torch.tanh(h))))
        return self.readout(torch.tanh(h).mean((-2, -1)))


def network(setting: dict) -> nn.Module:
    *image, channels = setting["input"]
    units = [channels, *setting["hidden"]]
    pairs = list(pairwise(units))
    if setting["kind"] == "fcn":
        layers = [layer for a, b in pairs for layer in (nn.Linear(a, b), nn.Tanh())]
        return nn.Sequential(*layers, nn.Linear(units[-1], OUTPUTS))
    if setting["kind"] == "resnet":
        return ResNet(channels, setting["hidden"])
    layers = [layer for a, b in pairs for layer in (nn.Conv2d(a, b, 3, padding=1), nn.Tanh())]
    if setting["readout"] == "pool":
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(units[-1], OUTPUTS))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(units[-1] * image[0] * image[1], OUTPUTS))


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        setting = request["setting"]
        if setting["n2"] is not None:
            print(json.dumps({}), flush=True)
            continue
        *image, channels = setting["input"]
        examples = TensorDataset(torch.randn(setting["n1"], channels, *image))
        loader, net, times = DataLoader(examples, batch_size=setting["n1"]), network(setting), []
        for _ in range(request["repeats"]):
            start = time.perf_counter()
            GramMatrix(net, loader).to_torch()
            times.append(time.perf_counter() - start)
        print(json.dumps({"Gram matrix": min(times)}), flush=True)


if __name__ == "__main__":
    main()
