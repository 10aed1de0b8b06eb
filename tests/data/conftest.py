"""Small real image sets on disk, as the hub lays them out."""

import numpy as np
import pytest

from orthontk.data import TensorDataModule


@pytest.fixture(autouse=True)
def private_cache(tmp_path_factory, monkeypatch):
    """Keep what `datasets` caches out of the user's home."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def digits():
    """(pixels (1000, 28, 28) uint8, labels (1000,)) of real digits, 100 of each class."""
    test = TensorDataModule("mnist_5k", batch_size=128).test
    return (test.images[:, 0] * 255).round().byte().numpy(), test.labels.numpy()


@pytest.fixture(scope="session")
def write_parquet():
    """A function that writes images (N, H, W[, 3]) and labels to a parquet file, as the hub's files are written."""
    from datasets import ClassLabel, Dataset, Features, Image
    from PIL import Image as PIL

    def write(path, pixels, labels, column="image"):
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = {column: [PIL.fromarray(image) for image in pixels], "label": list(labels)}
        Dataset.from_dict(rows, Features({column: Image(), "label": ClassLabel(num_classes=10)})).to_parquet(path)

    return write


@pytest.fixture
def image_folder(tmp_path, digits, write_parquet):
    """A folder with 200 training and 100 test digits, 20 and 10 of each class, in the columns image and label."""
    pixels, labels = digits
    position = np.arange(1000) % 100  # within its class
    for split, rows in (("train", position < 20), ("test", position >= 90)):
        write_parquet(tmp_path / f"{split}.parquet", pixels[rows], labels[rows])
    return tmp_path
