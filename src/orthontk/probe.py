"""The inputs that `python -m orthontk.ntk` computes kernels on: the run's own probe, one of other data, or a file's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from orthontk.checks import InvalidValue, integer
from orthontk.data import TensorDataModule
from orthontk.data.normalize import normalize
from orthontk.run.assemble import build_data

SIZE = 40
SHAPING = ("data.pool", "data.shape", "data.source", "data.path")  # what an input's shape may be due to


@dataclass(eq=False)
class Probes:
    """Probes of a run, whose networks have data by the seed.

    Other inputs than the training's are standardized by the training's mean and deviation, even if those were not.

    Args:
        config: the run's own.
        settings: `data.KEY=VALUE`, in which the probe's data differ from those of the training.
        size, split: how many inputs, and where they come from; None: 40, and the training set.
        inputs: a .npy file of inputs to be used as they are instead; None: none.
    """

    config: DictConfig
    settings: Sequence[str] = ()
    size: int | None = None
    split: str | None = None
    inputs: Path | None = None

    def __post_init__(self) -> None:
        for setting in self.settings:
            if not setting.startswith("data.") or "=" not in setting:
                key, _, value = setting.partition("=")
                raise InvalidValue(key, value, "a setting of the data, data.KEY=VALUE, such as data.source=cifar10")
        self._refuse_beside_inputs()
        self.given = OmegaConf.from_dotlist(list(self.settings)).get("data") or OmegaConf.create()
        scheme = self.given.get("normalize", self.config.data.get("normalize", "standardize"))
        self.standardizes_others = bool(self.settings) and self.inputs is None and scheme == "standardize"

    def _refuse_beside_inputs(self) -> None:
        """Refuse what chooses a probe beside inputs that are used as they are; the run's data may have moved."""
        chosen = dict(setting.split("=", 1) for setting in self.settings if not setting.startswith("data.path="))
        chosen |= {"split": self.split, "probe_size": self.size}
        for key, value in chosen.items() if self.inputs is not None else ():
            if value is not None:
                raise InvalidValue(key, value, "nothing beside --inputs, whose file has all inputs")

    def of(self, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The inputs (N, …) for networks whose data have this seed, and what identifies them in a file.

        Raises:
            InvalidValue: they cannot be had, or are not of the shape of the network's own.
        """
        own_matters = self.standardizes_others or not self.settings
        return self._probe(seed if own_matters else self.config.data.seed, self.given.get("seed", seed))

    @cache  # noqa: B019, as a command has one
    def _probe(self, own_seed: int, seed: int) -> tuple[Tensor, dict[str, Tensor]]:
        own = data = self.own_data(own_seed)
        if self.inputs is not None:
            x = read_inputs(self.inputs, own.input_shape)
            return x, {"inputs": x}
        if self.settings:
            data = self._data({"batch_size": "full", **self.given, "seed": seed})  # of batches there are none
            self._require_shape(data.input_shape, own.input_shape)
        x, labels, indices = data.probe(
            integer("probe_size", SIZE if self.size is None else self.size), self.split or "train"
        )
        if self.standardizes_others:
            x = normalize("standardize", own.train.images, [x])[1]
        return x, {"indices": indices, "labels": labels}

    @cache  # noqa: B019
    def own_data(self, seed: int) -> TensorDataModule:
        """The data that networks of this seed were trained on, at a new path if they are no longer at the old one."""
        path = self.config.data.get("path")
        moved = "path" in self.given and path is not None and not Path(path).exists()
        return self._data({"seed": seed, **({"path": self.given.path} if moved else {})})

    def _data(self, other: dict[str, Any]) -> TensorDataModule:
        """The run's data but for `other` settings, and as they are where they are standardized by other statistics."""
        as_they_are = {"normalize": "none"} if self.standardizes_others else {}
        return build_data(OmegaConf.merge(self.config, {"data": {**other, **as_they_are}}))

    def _require_shape(self, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if shape == expected:
            return
        named = sorted(self.settings, key=lambda setting: not setting.startswith(SHAPING))
        key, _, value = named[0].partition("=")
        raise InvalidValue(key, value, f"inputs of the shape that the network has, {expected}, not {shape}")


def read_inputs(path: Path, shape: tuple[int, ...]) -> Tensor:
    """The inputs (N, *shape) in a .npy file.

    Raises:
        InvalidValue: there is no such file, or it has other things than one or more inputs of that shape.
    """
    try:
        array = np.load(path, allow_pickle=False)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{array.dtype} is no real number")
        dtype = array.dtype.newbyteorder("=") if array.dtype.kind == "f" else np.float64  # torch has no other order
        x = torch.from_numpy(array.astype(dtype))
    except (OSError, EOFError, ValueError, TypeError, AttributeError) as error:  # the last of a file of several arrays
        raise InvalidValue("inputs", path, "a .npy file of real numbers") from error
    if x.shape[1:] != shape or len(x) == 0:
        raise InvalidValue("inputs", tuple(x.shape), f"one or more inputs of shape (N, {', '.join(map(str, shape))})")
    if not x.isfinite().all():
        raise InvalidValue("inputs", path, "finite numbers")
    return x
