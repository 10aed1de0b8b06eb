"""The replicas of a finished ensemble that kept its checkpoints, as networks."""

from collections.abc import Collection
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.ensemble.replicas import Replica, grid
from orthontk.ensemble.stack import flat_name


def replicas_named(config: DictConfig, names: Collection[str] | None) -> list[Replica]:
    """The ensemble's replicas, or those of them whose folders `names` gives.

    Raises:
        InvalidValue: a name that no replica has.
    """
    replicas = {replica.name: replica for replica in grid(config)}
    for name in names or ():
        if name not in replicas:
            shown = ", ".join(list(replicas)[:3]) + ", …" * (len(replicas) > 3)
            raise InvalidValue("replica", name, f"one of the run's replicas: {shown}")
    return [replicas[name] for name in names or replicas]


def parameters_of_replicas(checkpoint: dict[str, Any], names: Collection[str]) -> dict[int, dict[str, Tensor]]:
    """The parameters and buffers `names` of each replica that a chunk's checkpoint holds, by the replica's number."""
    stacked = {name: checkpoint["state_dict"][f"network.{flat_name(name)}"] for name in names}
    numbers = checkpoint["ensemble"]["replicas"]
    return {number: {name: value[row] for name, value in stacked.items()} for row, number in enumerate(numbers)}
