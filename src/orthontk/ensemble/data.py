"""The data of an ensemble: one data module that all replicas share, or one a seed."""

from collections.abc import Iterator, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from orthontk.data import TensorDataModule
from orthontk.data.batches import EvaluationBatches
from orthontk.data.split import Split
from orthontk.ensemble.replicas import Replica

Batch = tuple[Tensor, Tensor]  # (N, …), (N,); or (S, N, …), (S, N) where S seeds have data of their own


class EnsembleData(pl.LightningDataModule):
    """Batches for all replicas at once.

    Args:
        modules: `{None: data}` for data that all replicas share, otherwise the data of each seed.
    """

    def __init__(self, modules: dict[int | None, TensorDataModule]) -> None:
        super().__init__()
        self.modules = modules
        self.shared = None in modules
        self.first = next(iter(modules.values()))
        if not self.shared:
            _share_equal_splits(list(modules.values()))

    def of(self, replica: Replica) -> TensorDataModule:
        """The data module that the single run of `replica` has."""
        return self.modules[None if self.shared else replica.seed]

    def setup(self, stage: str | None = None) -> None:
        for module in self.modules.values():
            module.trainer = self.trainer
            module.setup(stage)
        if not self.shared:
            _share_equal_splits(list(self.modules.values()))  # moved to a device one by one, they are copies

    def train_dataloader(self) -> "SideBySide":
        return SideBySide([module.train_dataloader() for module in self.modules.values()])

    def val_dataloader(self) -> "SideBySide | list":
        return [] if self.first.val is None else self.evaluation("val")

    def test_dataloader(self) -> "SideBySide":
        return self.evaluation("test")

    def evaluation(self, split: str, part: slice | None = None) -> "SideBySide":
        """Every example of a split, or of a part of it, once, in chunks."""
        modules = self.modules.values()
        return SideBySide([EvaluationBatches(m.part(split, part), m.eval_batch_size) for m in modules])

    def select(self, batch: Batch, replicas: Sequence[Replica]) -> tuple[Tensor, Tensor, bool]:
        """What `replicas` see of a batch: (N, …), (N,), True, or (R, N, …), (R, N), False."""
        x, y = batch
        if self.shared:
            return x, y, True
        places = {seed: place for place, seed in enumerate(self.modules)}
        rows = torch.tensor([places[replica.seed] for replica in replicas], device=y.device)
        return x[rows], y[rows], False


class SideBySide:
    """Several loaders of equal length as one, whose batches are stacked; a single one as it is."""

    def __init__(self, loaders: list) -> None:
        self.loaders = loaders

    def __len__(self) -> int:
        return len(self.loaders[0])

    def __iter__(self) -> Iterator[Batch]:
        if len(self.loaders) == 1:
            yield from self.loaders[0]
        else:
            yield from map(_stacked, zip(*self.loaders, strict=True))

    def state_dict(self) -> dict[str, int]:
        return self.loaders[0].state_dict()  # all are at the same step

    def load_state_dict(self, state: dict[str, int]) -> None:
        for loader in self.loaders:
            loader.load_state_dict(state)


def _stacked(batches: Sequence[Batch]) -> Batch:
    xs, ys = zip(*batches, strict=True)
    return torch.stack(xs), torch.stack(ys)


def _share_equal_splits(modules: list[TensorDataModule]) -> None:
    """Let data modules with equal splits, as those of whole data sets are, hold them once."""
    first = modules[0].splits
    for module in modules[1:]:
        splits = {name: first[name] if _equal(split, first[name]) else split for name, split in module.splits.items()}
        module.splits = splits


def _equal(one: Split, other: Split) -> bool:
    same = one.images.shape == other.images.shape and torch.equal(one.indices, other.indices)
    return same and torch.equal(one.labels, other.labels) and torch.equal(one.images, other.images)
