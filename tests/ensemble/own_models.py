"""Models of a user's own, each with one thing that the families of this project do not have."""

import numpy as np
import torch
from torch import Tensor, nn

from orthontk.networks import Dense


class Own(nn.Module):
    """dense → tanh → `middle` → tanh → dense; takes the options of an FCN, and of them uses the width."""

    def __init__(self, in_features: int, out_features: int, width: int, **_: object) -> None:
        super().__init__()
        self.out_features = out_features
        self.first = Dense(in_features, width, 1.5, 0.1)
        self.last = Dense(width, out_features, 1.5, 0.1)
        self.add()

    def add(self) -> None:
        """What it has besides."""

    def middle(self, h: Tensor) -> Tensor:
        return h

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.middle(torch.tanh(self.first(x.flatten(1))))))


class Plain(nn.Sequential):
    """Layers of torch alone, which draw their weights themselves."""

    def __init__(self, in_features: int, out_features: int, width: int, **_: object) -> None:
        layers = nn.Linear(in_features, width), nn.Tanh(), nn.Linear(width, out_features)
        super().__init__(nn.Flatten(), *layers)


class Frozen(Own):
    def add(self) -> None:
        self.last.requires_grad_(False)


class Normalized(Own):
    def add(self) -> None:
        self.norm = nn.BatchNorm1d(8)

    def middle(self, h: Tensor) -> Tensor:
        return self.norm(h)


class PartlyFrozen(Normalized):
    """In evaluation mode from the beginning, as of a part that is taken over from another network."""

    def add(self) -> None:
        super().add()
        self.norm.eval()


class Averaged(Own):
    """`torch.vmap` cannot take it: its statistics are means over a number of batches that is read back."""

    def add(self) -> None:
        self.norm = nn.BatchNorm1d(8, momentum=None)

    def middle(self, h: Tensor) -> Tensor:
        return self.norm(h)


class SpectralNormalized(Own):
    """`torch.vmap` cannot take it: its power iteration writes into a buffer."""

    def add(self) -> None:
        self.layer = nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8))

    def middle(self, h: Tensor) -> Tensor:
        return self.layer(h)


class TorchLayer(Own):
    def add(self) -> None:
        self.layer = nn.Linear(8, 8)

    def middle(self, h: Tensor) -> Tensor:
        return self.layer(h)


class Unused(Own):
    def add(self) -> None:
        self.unused = Dense(8, 8, 1.5, 0.1)


class Scalar(Own):
    def add(self) -> None:
        self.temperature = nn.Parameter(torch.tensor(0.7))

    def middle(self, h: Tensor) -> Tensor:
        return self.temperature * h


class SharedModule(Own):
    def add(self) -> None:
        self.layer = Dense(8, 8, 1.5, 0.1)
        self.again = self.layer

    def middle(self, h: Tensor) -> Tensor:
        return self.again(torch.tanh(self.layer(h)))


class SharedWeight(Own):
    def add(self) -> None:
        self.layer, self.again = nn.Linear(8, 8), nn.Linear(8, 8)
        self.again.weight = self.layer.weight

    def middle(self, h: Tensor) -> Tensor:
        return self.again(torch.tanh(self.layer(h)))


class Constant(Own):
    def add(self) -> None:
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 8), persistent=False)

    def middle(self, h: Tensor) -> Tensor:
        return self.scale * h


class WeightNormalized(Own):
    def add(self) -> None:
        self.layer = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))

    def middle(self, h: Tensor) -> Tensor:
        return self.layer(h)


class Attention(Own):
    def middle(self, h: Tensor) -> Tensor:
        heads = h[:, None, :, None]
        return nn.functional.scaled_dot_product_attention(heads, heads, heads)[:, 0, :, 0]


class Random(Own):
    def middle(self, h: Tensor) -> Tensor:
        return nn.functional.dropout(h, 0.5, self.training)


class RandomInNumpy(Own):
    def middle(self, h: Tensor) -> Tensor:
        return h * (np.random.random() if self.training else 1.0)


class Masked(Own):
    """What its constructor draws is no buffer, so that a stack would have one replica's for all."""

    def add(self) -> None:
        self.mask = torch.rand(8).round().double()

    def middle(self, h: Tensor) -> Tensor:
        return self.mask * h


class ClosedOver(Own):
    """A copy's function refers to the parameter of the network that was copied."""

    def add(self) -> None:
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.scaled = lambda h: self.scale * h

    def middle(self, h: Tensor) -> Tensor:
        return self.scaled(h)


class Assigning(Own):
    """A buffer that `functional_call` puts back."""

    def add(self) -> None:
        self.register_buffer("mean", torch.zeros(8))

    def middle(self, h: Tensor) -> Tensor:
        self.mean = 0.9 * self.mean + 0.1 * h.detach().mean(0)
        return h - self.mean


class OldWeightNormalized(Own):
    def add(self) -> None:
        self.layer = nn.utils.weight_norm(nn.Linear(8, 8))


class Keeping(Own):
    def middle(self, h: Tensor) -> Tensor:
        self.hidden = h
        return h


class NoisyLabels(nn.CrossEntropyLoss):
    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return super().forward(outputs, torch.where(torch.rand(len(labels)) < 0.1, 0, labels))


class Remembering(nn.CrossEntropyLoss):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.0))

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        loss = super().forward(outputs, labels)
        self.mean.mul_(0.9).add_(0.1 * loss.detach())
        return loss * (1 + self.mean)
