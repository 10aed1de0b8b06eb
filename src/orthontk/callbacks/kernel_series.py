"""The file `ntk.safetensors`: a probe's kernels and the steps they were computed at."""

import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


class KernelSeries:
    """Kernels of one fixed probe, appended step by step; the file is replaced whole, so it is never half written.

    Attributes:
        steps: (T,) the number of updates before each kernel.
        kernels: (T, N, N, O, O) or (T, N, N).
        probe: what identifies the probe, e.g. `indices` (N,) into the data set and `labels` (N,).
        settings: how the kernels were computed, plain values.
    """

    def __init__(self, path: Path, probe: dict[str, Tensor], settings: dict[str, object]) -> None:
        self.path, self.probe, self.settings = path, probe, settings
        self.steps: list[int] = []
        self.kernels: list[Tensor] = []

    @classmethod
    def read(cls, path: str | Path) -> "KernelSeries":
        """The series in a file. Raises FileNotFoundError, or safetensors' own error for a damaged one."""
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            settings = json.loads(file.metadata()["settings"])
        kernels, steps = tensors.pop("kernels"), tensors.pop("steps")
        series = cls(Path(path), {name.removeprefix("probe/"): value for name, value in tensors.items()}, settings)
        series.steps, series.kernels = steps.tolist(), list(kernels)
        return series

    def add(self, step: int, kernel: Tensor) -> None:
        self.steps.append(step)
        self.kernels.append(kernel.cpu())

    def keep_until(self, step: int) -> None:
        """Forget what was computed after `step`: a resumed run computes it again."""
        kept = sum(recorded <= step for recorded in self.steps)
        del self.steps[kept:], self.kernels[kept:]

    def write(self) -> None:
        """Replace the file by this series."""
        tensors = {f"probe/{name}": value.cpu().contiguous() for name, value in self.probe.items()}
        tensors |= {"steps": torch.tensor(self.steps), "kernels": torch.stack(self.kernels)}
        partial = self.path.with_suffix(".partial")
        save_file(tensors, partial, metadata={"settings": json.dumps(self.settings, sort_keys=True)})
        os.replace(partial, self.path)
