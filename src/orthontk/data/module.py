"""The data of a run: subsets, normalization, probe and batches."""

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from orthontk.checks import InvalidValue, integer, one_of
from orthontk.data import hub, sources
from orthontk.data.batches import EvaluationBatches, StepBatches, check_batch_size
from orthontk.data.normalize import NORMALIZATIONS, FirstLayer, normalize
from orthontk.data.split import Split, balanced_rows

SOURCES = ("mnist_5k", *hub.REPOSITORIES, "gaussian")
# Independent streams of random numbers under one seed; batches.BATCH_ORDER is the fourth.
TRAIN, VAL, TEST, PROBE, PART = 0, 1, 2, 4, 5


class TensorDataModule(pl.LightningDataModule):
    """A data set held whole as tensors, on the trainer's device once `setup` has run within a trainer.

    Everything random is drawn by `seed`: subsets, the probe, the order of batches, Gaussian inputs. Nothing is loaded
    before `setup` or the first use of `train`, `val`, `test`, `input_shape`.

    Args:
        source: mnist_5k, mnist, fashion_mnist, cifar10 or gaussian.
        path: folder of local parquet files for mnist, fashion_mnist and cifar10 (see `orthontk.data.hub`); null: hub.
        shape, classes: of `gaussian` inputs: (d,) or (C, H, W), and the number of classes.
        train_size, val_size, test_size: examples of class-balanced subsets (counts differ by at most one); null: all.
            Validation examples are taken from the source's training set first; 0: none. `gaussian` needs all three.
        pool: images are averaged over squares of that side, which divides theirs; 4 turns 28 × 28 pixels into 7 × 7.
        keep_classes: the labels to keep, which then count from 0 in this order; null: all. Not for `gaussian`.
        batch_size: examples of one step over all processes, or "full" for full-batch gradient descent.
        eval_batch_size: examples a process evaluates at once.
        normalize: see `orthontk.data.normalize.normalize`; `qstar` needs `set_first_layer` before the data are used.

    Raises:
        InvalidValue: an argument outside what is accepted, at once or when the source is known.

    >>> data = TensorDataModule("gaussian", shape=(3, 8, 8), classes=4, train_size=16, test_size=8, batch_size=4)
    >>> data.train.images.shape, data.train.labels.bincount()
    (torch.Size([16, 3, 8, 8]), tensor([4, 4, 4, 4]))
    """

    def __init__(
        self,
        source: str,
        *,
        path: str | Path | None = None,
        shape: tuple[int, ...] | None = None,
        classes: int | None = None,
        train_size: int | None = None,
        val_size: int = 0,
        test_size: int | None = None,
        pool: int = 1,
        keep_classes: Sequence[int] | None = None,
        batch_size: int | str = 128,
        eval_batch_size: int = 1000,
        normalize: str = "none",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.name = one_of("source", source, SOURCES)
        if path is not None and source not in hub.REPOSITORIES:
            read = ", ".join(hub.REPOSITORIES)
            raise InvalidValue("path", path, f"null, as {source} is not read from files; {read} are")
        self.path = path
        if source == "gaussian":
            shape, classes = sources.check_shape(shape), integer("classes", classes)
        elif shape is not None or classes is not None:
            name, value = ("shape", shape) if shape is not None else ("classes", classes)
            raise InvalidValue(name, value, f"null, as {source} has its own")
        self.keep_classes = self._check_kept(keep_classes)
        self.pool = integer("pool", pool)
        self.shape, self.classes = shape, classes or len(self.keep_classes or range(hub.CLASSES))
        self.train_size = self._check_size("train_size", train_size)
        self.val_size = self._check_size("val_size", val_size)
        self.test_size = self._check_size("test_size", test_size)
        check_batch_size(batch_size, train_size or np.iinfo(np.int64).max)
        self.batch_size = batch_size
        self.eval_batch_size = integer("eval_batch_size", eval_batch_size)
        self.normalize = one_of("normalize", normalize, NORMALIZATIONS)
        self.seed = integer("seed", seed, minimum=0)
        self.first_layer: FirstLayer | None = None

    def set_first_layer(self, q_star: float, weight_var: float, bias_var: float) -> None:
        """Tell `normalize=qstar` which network it is for; before the data are used."""
        self.first_layer = FirstLayer(q_star, weight_var, bias_var)

    @property
    def train(self) -> Split:
        return self.splits["train"]

    @property
    def val(self) -> Split | None:
        return self.splits.get("val")

    @property
    def test(self) -> Split:
        return self.splits["test"]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, H, W) or (d,)."""
        return tuple(self.train.images.shape[1:])

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in a pass over the training set; 1 under full-batch gradient descent."""
        return len(self.train) // check_batch_size(self.batch_size, len(self.train))

    @cached_property
    def splits(self) -> dict[str, Split]:
        """train, test and, unless val_size is 0, val."""
        splits = self._gaussian() if self.name == "gaussian" else self._subsets()
        check_batch_size(self.batch_size, len(splits["train"]))
        train, *others = splits
        normalized = normalize(
            self.normalize, splits[train].images, [splits[name].images for name in others], self.first_layer
        )
        return {
            name: Split(images, splits[name].labels, splits[name].indices)
            for name, images in zip(splits, normalized, strict=True)
        }

    def setup(self, stage: str | None = None) -> None:
        """Load, and move everything to the trainer's device."""
        splits = self.splits
        if self.trainer is not None:
            device = self.trainer.strategy.root_device
            self.splits = {name: split.to(device) for name, split in splits.items()}

    def probe(self, size: int, split: str = "train", name: str = "probe_size") -> tuple[Tensor, Tensor, Tensor]:
        """A fixed, class-balanced sample (x, y, indices into the source) of `split`, drawn by `seed`.

        Raises:
            InvalidValue: `size` is above what the split or one of its classes has, which is refused by the `name` that
                it is known by, or there is no such split.
        """
        chosen = self.splits[one_of("split", split, self.splits)]
        if integer(name, size) > len(chosen):
            raise InvalidValue(name, size, f"at most {len(chosen)}, the examples of {split}")
        labels = chosen.labels.cpu().numpy()
        rows = torch.from_numpy(balanced_rows(name, size, labels, self.classes, self._generator(PROBE)))
        rows = rows.to(chosen.labels.device)
        return chosen.images[rows], chosen.labels[rows], chosen.indices[rows]

    def part(self, split: str, places: slice | None) -> Split:
        """The examples at these places of a random order of `split`, drawn by `seed`; None: all as they are."""
        whole = self.splits[split]
        if places is None:
            return whole
        rows = torch.from_numpy(self._generator(PART).permutation(len(whole))[places]).to(whole.labels.device)
        return Split(whole.images[rows], whole.labels[rows], whole.indices[rows])

    def train_dataloader(self) -> StepBatches:
        """The batches from the trainer's step on to its last one: the whole training is one Lightning epoch."""
        trainer = self.trainer
        return StepBatches(
            self.train,
            self.batch_size,
            self.seed,
            max_steps=trainer.max_steps,
            start_step=trainer.global_step,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )

    def val_dataloader(self) -> EvaluationBatches | list:
        return [] if self.val is None else self._evaluation(self.val)

    def test_dataloader(self) -> EvaluationBatches:
        return self._evaluation(self.test)

    def _evaluation(self, split: Split) -> EvaluationBatches:
        trainer = self.trainer
        return EvaluationBatches(split, self.eval_batch_size, trainer.global_rank, trainer.world_size)

    def _check_size(self, name: str, size: int | None) -> int | None:
        if size is None and self.name != "gaussian" and name != "val_size":
            return None
        may_be_none = name == "val_size"
        if type(size) is int and (size >= self.classes or (may_be_none and size == 0)):
            return size
        accepted = f"an integer of at least {self.classes}, the number of classes"
        raise InvalidValue(name, size, accepted + (", or 0" if may_be_none else ""))

    def _check_kept(self, kept: Sequence[int] | None) -> list[int] | None:
        if kept is None:
            return None
        classes = list(kept) if isinstance(kept, Iterable) and not isinstance(kept, str) else []
        labels = all(type(label) is int and label in range(hub.CLASSES) for label in classes)
        if self.name == "gaussian" or not labels or len(set(classes)) < max(len(classes), 2):
            accepted = f"null, or two or more of the labels 0 to {hub.CLASSES - 1} of an image set"
            raise InvalidValue("keep_classes", kept, accepted)
        return classes

    def _generator(self, stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, stream])

    def _gaussian(self) -> dict[str, Split]:
        sizes = {"train": (TRAIN, self.train_size), "test": (TEST, self.test_size), "val": (VAL, self.val_size)}
        return {
            name: self._read(sources.gaussian(size, self.shape, self.classes, [self.seed, stream]), np.arange(size))
            for name, (stream, size) in sizes.items()
            if size
        }

    def _subsets(self) -> dict[str, Split]:
        train, test = sources.mnist_5k() if self.name == "mnist_5k" else hub.hub_images(self.name, self.path)
        if self.keep_classes is not None:
            train, test = (sources.of_classes(examples, self.keep_classes) for examples in (train, test))
        remaining = np.arange(len(train.labels))
        splits = {}
        if self.val_size > len(remaining) - self.classes:
            most = len(remaining) - self.classes
            raise InvalidValue("val_size", self.val_size, f"at most {most}, which leaves something to train on")
        if self.val_size:
            val = self._choose("val_size", self.val_size, train.labels, remaining, VAL)
            remaining = np.setdiff1d(remaining, val)
            splits["val"] = self._read(train, val)
        rows = self._choose("train_size", self.train_size, train.labels, remaining, TRAIN)
        test_rows = self._choose("test_size", self.test_size, test.labels, np.arange(len(test.labels)), TEST)
        return {"train": self._read(train, rows), "test": self._read(test, test_rows), **splits}

    def _choose(self, name: str, size: int | None, labels: np.ndarray, among: np.ndarray, stream: int) -> np.ndarray:
        """Rows of the subset of that size of the rows `among`, ascending; all of them, if null or as many as asked."""
        if size is None or size == len(among):
            return among
        if size > len(among):
            raise InvalidValue(name, size, f"at most {len(among)}, the examples of {self.name} left for it")
        return among[balanced_rows(name, size, labels[among], self.classes, self._generator(stream))]

    def _read(self, examples: sources.Examples, rows: np.ndarray) -> Split:
        images, labels = torch.from_numpy(examples.images(rows)), torch.from_numpy(examples.labels[rows])
        if self.pool > 1:
            common = math.gcd(*images.shape[-2:]) if images.dim() == 4 else 1
            if common % self.pool:
                divisors = ", ".join(str(side) for side in range(1, common + 1) if common % side == 0)
                raise InvalidValue("pool", self.pool, f"one of {divisors}, which leave no pixels over")
            images = F.avg_pool2d(images, self.pool)
        return Split(images, labels, torch.from_numpy(rows))
