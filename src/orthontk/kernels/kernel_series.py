"""The file `ntk.safetensors`: a probe's kernels and the steps they were computed at."""

from bisect import bisect
from pathlib import Path

import torch
from torch import Tensor

from orthontk.tensor_files import read_tensors, write_tensors


class KernelSeries:
    """Kernels of one fixed probe, added step by step; the file is replaced whole, so it is never half written.

    Attributes:
        steps: (T,) the number of updates before each kernel, ascending.
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
        tensors, settings = read_tensors(path)
        kernels, steps = tensors.pop("kernels"), tensors.pop("steps")
        series = cls(Path(path), {name.removeprefix("probe/"): value for name, value in tensors.items()}, settings)
        series.steps, series.kernels = steps.tolist(), list(kernels)
        return series

    def add(self, step: int, kernel: Tensor) -> None:
        """In the order of steps, in which a checkpoint may have been damaged that is whole now."""
        position = bisect(self.steps, step)
        self.steps.insert(position, step)
        self.kernels.insert(position, kernel.cpu())

    def keep_until(self, step: int) -> None:
        """Forget what was computed after `step`: a resumed run computes it again."""
        kept = sum(recorded <= step for recorded in self.steps)
        del self.steps[kept:], self.kernels[kept:]

    def write(self) -> None:
        """Replace the file by this series; one without a kernel has none."""
        if not self.kernels:
            self.path.unlink(missing_ok=True)  # of what is to be computed again
            return
        tensors = {f"probe/{name}": value for name, value in self.probe.items()}
        tensors |= {"steps": torch.tensor(self.steps), "kernels": torch.stack(self.kernels)}
        write_tensors(self.path, tensors, self.settings)
