"""The replicas of an ensemble that keeps its checkpoints, as networks."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.ensemble.replicas import Replica, grid
from orthontk.ensemble.stack import StackedNetwork, flat_name
from orthontk.kernels.parameters import places_of
from orthontk.tensor_files import read_tensors, write_tensors

ENDED = Path("checkpoints") / "ended"  # in a chunk's folder


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


def save_ended(chunk: Path, replica: Replica, stack: StackedNetwork, row: int, step: int) -> None:
    """Keep the weights of a replica that leaves the stack before the chunk's next checkpoint."""
    folder = chunk / ENDED
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value[row] for name, value in stack.state_dict().items()}
    write_tensors(folder / f"{replica.name}-step-{step:08d}.safetensors", tensors, {"number": replica.number})


def weights_of_ended(path: Path, module: nn.Module) -> dict[int, dict[str, Tensor]]:
    """What `save_ended` kept, for the parameters and buffers of `module`, by the replica's number."""
    tensors, settings = read_tensors(path)
    return {settings["number"]: {name: tensors[key] for name, key in _keys(module).items()}}


def weights_of_replicas(checkpoint: dict[str, Any], module: nn.Module) -> dict[int, dict[str, Tensor]]:
    """The same for each replica that a chunk's checkpoint holds."""
    stacked = {name: checkpoint["state_dict"][f"network.{key}"] for name, key in _keys(module).items()}
    numbers = checkpoint["ensemble"]["replicas"]
    return {number: {name: value[row] for name, value in stacked.items()} for row, number in enumerate(numbers)}


def _keys(module: nn.Module) -> dict[str, str]:
    """What a stack calls the tensors in a network's state; those that layers share, it has once."""
    places = places_of(module)
    return {name: flat_name(places[name]) for name in module.state_dict()}
