"""Initial networks, drawn once for all the learning rates that start from them."""

from collections.abc import Callable

from torch import nn

from orthontk.ensemble.replicas import Replica

KEPT_BYTES = 2**31  # of drawn networks, at most


class Drawing:
    """Draws the network of a replica; replicas that differ in learning rate alone get the same one.

    The QR decompositions of a deep orthogonal network take longer than many of its steps.

    Args:
        build: draws it.
        room: bytes of networks that may be kept for another learning rate.
    """

    def __init__(self, build: Callable[[Replica], nn.Module], room: int) -> None:
        self.build, self.room = build, room
        self.kept: dict[tuple[int, str], nn.Module] = {}

    def __call__(self, replica: Replica) -> nn.Module:
        key = replica.seed, replica.init
        if key in self.kept:
            return self.kept[key]
        network = self.build(replica)
        each = sum(value.numel() * value.element_size() for value in network.parameters())
        if each <= self.room:
            self.kept[key] = network
            self.room -= each
        return network
