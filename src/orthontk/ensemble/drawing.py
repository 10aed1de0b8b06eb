"""Initial networks, drawn once for all the learning rates that start from them."""

from collections.abc import Callable

from torch import nn

from orthontk.ensemble.replicas import Replica

KEPT_BYTES = 2**31  # of drawn networks


class Drawing:
    """Draws the network of a replica; replicas that differ in learning rate alone get the same one.

    The QR decompositions of a deep orthogonal network take longer than many of its steps.
    """

    def __init__(self, build: Callable[[Replica], nn.Module]) -> None:
        self.build = build
        self.kept: dict[tuple[int, str], nn.Module] = {}

    def __call__(self, replica: Replica) -> nn.Module:
        key = replica.seed, replica.init
        if key not in self.kept:
            network = self.build(replica)
            each = sum(value.numel() * value.element_size() for value in network.parameters())
            if (len(self.kept) + 1) * each > KEPT_BYTES:
                return network
            self.kept[key] = network
        return self.kept[key]
