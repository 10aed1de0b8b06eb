"""The file `prediction.safetensors`: predicted and actual outputs by step."""

from pathlib import Path

import torch
from torch import Tensor

from orthontk.tensor_files import read_tensors, write_tensors

Outputs = dict[str, dict[int, Tensor]]  # by split (train, test), by step: (N, O)


class PredictionSeries:
    """Outputs by split and step. In the file: `<kind>/<split>` (T, N, O) and `<kind>/steps` (T,).

    Attributes:
        predicted: at every step of the schedule, known before training.
        actual: at those reached so far.
    """

    def __init__(self, path: Path, predicted: Outputs, actual: Outputs | None = None) -> None:
        self.path, self.predicted = path, predicted
        self.actual: Outputs = actual or {split: {} for split in predicted}

    @classmethod
    def read(cls, path: Path) -> "PredictionSeries":
        tensors, _ = read_tensors(path)

        def outputs(kind: str) -> Outputs:
            steps = tensors[f"{kind}/steps"].tolist()
            return {split: dict(zip(steps, tensors[f"{kind}/{split}"], strict=True)) for split in ("train", "test")}

        return cls(path, outputs("predicted"), outputs("actual"))

    def keep_until(self, step: int) -> None:
        """Forget what was measured after `step`: a resumed run measures it again."""
        for outputs in self.actual.values():
            for late in [recorded for recorded in outputs if recorded > step]:
                del outputs[late]

    def write(self) -> None:
        """Replace the file by this series."""
        tensors = {}
        for kind, splits in (("predicted", self.predicted), ("actual", self.actual)):
            tensors[f"{kind}/steps"] = torch.tensor(list(splits["train"]), dtype=torch.int64)
            for split, outputs in splits.items():
                shape = next(iter(self.predicted[split].values())).shape
                stacked = torch.stack(list(outputs.values())) if outputs else torch.zeros(0, *shape)
                tensors[f"{kind}/{split}"] = stacked
        write_tensors(self.path, tensors)
