"""The data of an ensemble: one data module that all replicas share, or one a seed."""

from collections.abc import Iterable, Iterator, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from orthontk.data import TensorDataModule
from orthontk.data.batches import EvaluationBatches
from orthontk.data.split import Split
from orthontk.ensemble.replicas import Replica

Batch = tuple[Tensor, Tensor]  # (N, …), (N,)


class EnsembleData(pl.LightningDataModule):
    """Batches for all replicas at once.

    Args:
        modules: `(None, data)` of data that all replicas share, otherwise each seed and its data. They are asked for
            one after another, so that no more than two hold what all have.
    """

    def __init__(self, modules: Iterable[tuple[int | None, TensorDataModule]]) -> None:
        super().__init__()
        self.modules: dict[int | None, TensorDataModule] = {}
        for seed, module in modules:
            self.modules[seed] = module
            self._share_equal_splits(module)
        self.shared = len(self.modules) == 1

    @property
    def first(self) -> TensorDataModule:
        return next(iter(self.modules.values()))

    def of(self, replica: Replica) -> TensorDataModule:
        """The data module that the single run of `replica` has."""
        return self.first if self.shared else self.modules[replica.seed]

    def of_chunk(self, replicas: Sequence[Replica]) -> "EnsembleData":
        """The data of these replicas alone."""
        if self.shared:
            return self
        return EnsembleData((seed, self.modules[seed]) for seed in dict.fromkeys(r.seed for r in replicas))

    def setup(self, stage: str | None = None) -> None:
        for module in self.modules.values():
            module.trainer = self.trainer
            module.setup(stage)
            self._share_equal_splits(module)  # moved to a device one by one, they are copies

    def _share_equal_splits(self, module: TensorDataModule) -> None:
        """Let a data module hold what equals the first one's, as splits of whole data sets do, no second time."""
        if module is not self.first:
            first = self.first.splits
            module.splits = {
                name: first[name] if _equal(split, first[name]) else split for name, split in module.splits.items()
            }

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

    def select(self, batch: Batch | list[Batch], replicas: Sequence[Replica]) -> tuple[Tensor, Tensor, bool]:
        """What `replicas` see of a batch: (N, …), (N,), True, or (R, N, …), (R, N), False."""
        if self.shared:
            return (*batch, True)
        of_seed = dict(zip(self.modules, batch, strict=True))
        xs, ys = zip(*(of_seed[replica.seed] for replica in replicas), strict=True)
        return torch.stack(xs), torch.stack(ys), False


class SideBySide:
    """Several loaders of equal length as one, with a list of their batches; a single one as it is."""

    def __init__(self, loaders: list) -> None:
        self.loaders = loaders

    def __len__(self) -> int:
        return len(self.loaders[0])

    def __iter__(self) -> Iterator[Batch | list[Batch]]:
        yield from self.loaders[0] if len(self.loaders) == 1 else map(list, zip(*self.loaders, strict=True))

    def state_dict(self) -> dict[str, int]:
        return self.loaders[0].state_dict()  # all are at the same step

    def load_state_dict(self, state: dict[str, int]) -> None:
        for loader in self.loaders:
            loader.load_state_dict(state)


def _equal(one: Split, other: Split) -> bool:
    same = one.images.shape == other.images.shape and torch.equal(one.indices, other.indices)
    return same and torch.equal(one.labels, other.labels) and torch.equal(one.images, other.images)
