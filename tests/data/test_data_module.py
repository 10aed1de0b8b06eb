"""Subsets, probe, and a run of Lightning on them."""

from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.data.split import balanced_rows

CONFIGS = Path(__file__).parents[2] / "conf" / "data"


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(1, 80), st.integers(0, 99))
def test_balanced_rows_exist_exactly_when_they_are_given(available, size, seed):
    labels = np.repeat(np.arange(len(available)), available)
    np.random.default_rng(seed).shuffle(labels)
    least = size // len(available)
    possible = sum(min(count, least) for count in available) == least * len(available)
    possible &= sum(count > least for count in available) >= size % len(available)
    if not possible:
        with pytest.raises(InvalidValue, match=rf"^train_size={size}: expected at most"):
            balanced_rows("train_size", size, labels, len(available), np.random.default_rng(seed))
        return
    rows = balanced_rows("train_size", size, labels, len(available), np.random.default_rng(seed))
    assert len(set(rows.tolist())) == size
    counts = np.bincount(labels[rows], minlength=len(available))
    assert counts.max() - counts.min() <= 1


@given(st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_the_most_that_a_refusal_names_is_accepted(available):
    labels = np.repeat(np.arange(len(available)), available)
    rng = np.random.default_rng
    try:
        balanced_rows("n", 100, labels, len(available), rng(0))
    except InvalidValue as refusal:
        most = int(refusal.accepted.split()[2])
    assert len(balanced_rows("n", most, labels, len(available), rng(0))) == most
    with pytest.raises(InvalidValue):
        balanced_rows("n", most + 1, labels, len(available), rng(0))


def test_subsets_are_balanced_disjoint_and_drawn_by_the_seed():
    options = {"train_size": 1003, "val_size": 205, "test_size": 99}
    data, again, other = (TensorDataModule("mnist_5k", seed=seed, **options) for seed in (0, 0, 1))
    for split, size in ((data.train, 1003), (data.val, 205), (data.test, 99)):
        assert len(split) == size
        counts = split.labels.bincount(minlength=10)
        assert counts.max() - counts.min() == 1
    assert not set(data.train.indices.tolist()) & set(data.val.indices.tolist())
    for name in ("train", "val", "test"):
        assert torch.equal(data.splits[name].images, again.splits[name].images)
        assert not torch.equal(data.splits[name].indices, other.splits[name].indices)


def test_indices_name_rows_of_the_source():
    whole, part = TensorDataModule("mnist_5k"), TensorDataModule("mnist_5k", train_size=200, val_size=50, test_size=30)
    for split, source in ((part.train, whole.train), (part.val, whole.train), (part.test, whole.test)):
        assert torch.equal(split.images, source.images[split.indices])
        assert torch.equal(split.labels, source.labels[split.indices])


def test_smaller_subsets_are_contained_in_larger_ones():
    small, large = (TensorDataModule("mnist_5k", train_size=size) for size in (200, 700))
    assert set(small.train.indices.tolist()) < set(large.train.indices.tolist())


def test_validation_leaves_the_rest():
    data = TensorDataModule("mnist_5k", val_size=500)
    rows = torch.cat([data.train.indices, data.val.indices])
    assert sorted(rows.tolist()) == list(range(4000))
    assert TensorDataModule("mnist_5k", val_size=500, train_size=3500).train.indices.equal(data.train.indices)
    assert TensorDataModule("mnist_5k").val is None


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_probe(split):
    data = TensorDataModule("mnist_5k", val_size=60, train_size=400, test_size=100)
    x, y, indices = data.probe(25, split)
    counts = y.bincount(minlength=10)
    assert sorted(counts.tolist()) == [2] * 5 + [3] * 5
    source = TensorDataModule("mnist_5k")
    source = source.test if split == "test" else source.train
    assert torch.equal(x, source.images[indices])
    assert set(indices.tolist()) <= set(data.splits[split].indices.tolist())
    again = TensorDataModule("mnist_5k", val_size=60, train_size=400, test_size=100, batch_size=7).probe(25, split)
    assert torch.equal(indices, again[2])
    with pytest.raises(InvalidValue, match=r"^probe_size=1000: expected at most"):
        data.probe(1000, split)
    assert len(data.probe(len(data.splits[split]), split)[0]) == len(data.splits[split])


def test_probe_refusals():
    data = TensorDataModule("mnist_5k")
    for size in (0, -1, 2.5, True, 4001):
        with pytest.raises(InvalidValue, match=r"^probe_size="):
            data.probe(size)
    with pytest.raises(InvalidValue, match=r"^split=val: expected one of train, test"):
        data.probe(10, "val")
    assert data.probe(1)[0].shape == (1, 1, 28, 28)


class Recorder(pl.LightningModule):
    """A linear classifier that remembers the labels it was given."""

    def __init__(self):
        super().__init__()
        self.readout = torch.nn.Linear(784, 10)
        torch.nn.init.zeros_(self.readout.weight)
        self.seen, self.validated = [], 0

    def training_step(self, batch, _):
        x, y = batch
        self.seen.append(y.clone())
        return torch.nn.functional.cross_entropy(self.readout(x.flatten(1)), y)

    def validation_step(self, batch, _):
        self.validated += len(batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def fit(tmp_path):
    """Train for some steps, from a checkpoint if there is one, and leave another."""

    def fit(steps, max_steps, checkpoint=None, **options):
        model, data = Recorder(), TensorDataModule("mnist_5k", val_size=500, batch_size=1000, **options)
        torch.nn.init.zeros_(model.readout.bias)

        def interrupt(trainer, *_):
            trainer.should_stop = steps <= trainer.global_step < max_steps

        stop = pl.callbacks.LambdaCallback(on_train_batch_end=interrupt)
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=max_steps, max_epochs=-1, val_check_interval=5, num_sanity_val_steps=0,
            callbacks=[stop], logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
        trainer.save_checkpoint(tmp_path / f"{steps}.ckpt")
        assert trainer.global_step == steps
        return model

    return fit


def test_lightning_sees_one_epoch_and_resumes_in_the_middle_of_it(fit, tmp_path):
    """7 of 11 steps and then the rest, where an epoch of the data has 3: bit for bit as without a break."""
    whole = fit(11, 11)
    first = fit(7, 11)
    second = fit(11, 11, checkpoint=tmp_path / "7.ckpt")
    assert whole.validated == 2 * 500
    assert [y.tolist() for y in whole.seen] == [y.tolist() for y in first.seen + second.seen]
    assert torch.equal(whole.readout.weight, second.readout.weight)


@pytest.mark.parametrize("config", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_every_config_instantiates(config, image_folder):
    on_disk = config in ("mnist", "fashion_mnist", "cifar10")
    folder = image_folder / "cifar10" if config == "cifar10" else image_folder
    overrides = [f"path={folder}", "val_size=50"] if on_disk else []
    with initialize_config_dir(str(CONFIGS), version_base=None):
        data = instantiate(compose(config, overrides=[*overrides, "seed=2"]))
    data.setup()
    assert data.name == config
    assert data.seed == 2
    assert data.train.images.isfinite().all()
    assert data.train.images.shape[1:] == data.input_shape
