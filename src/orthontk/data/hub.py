"""Image sets of the Hugging Face hub, from there or from local parquet files."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orthontk.checks import InvalidValue
from orthontk.data.sources import Examples, to_unit_interval

if TYPE_CHECKING:
    import datasets

REPOSITORIES = {
    "mnist": "ylecun/mnist",
    "fashion_mnist": "zalando-datasets/fashion_mnist",
    "cifar10": "uoft-cs/cifar10",
}
SIZES = {"mnist": (28, 28), "fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}  # of an image, as PIL gives it
CLASSES = 10  # of each of them
IMAGE_COLUMNS = ("image", "img")


def hub_images(name: str, path: str | None = None) -> tuple[Examples, Examples]:
    """The train and test split of `name`, a key of REPOSITORIES.

    Args:
        path: a folder that holds {train,test}.parquet or <name>/{train,test}.parquet; null: the hub.

    Raises:
        InvalidValue: under `path`, what is wrong with the files; under `source`, that the hub is out of reach.
    """
    tables = from_hub(name) if path is None else from_parquet(name, path)
    missing = {"train", "test"} - set(tables)
    if missing:
        raise InvalidValue("path", path, f"splits train and test ({', '.join(sorted(missing))} is missing)")
    return examples(tables["train"], name, path, "train"), examples(tables["test"], name, path, "test")


def from_hub(name: str) -> "datasets.DatasetDict":
    import datasets  # takes a second, so only who needs it pays

    # Said before: where nothing answers it takes half a minute to give up.
    print(f"asking the Hugging Face hub for {REPOSITORIES[name]}; data.path=FOLDER reads files", file=sys.stderr)
    try:
        with quiet_hub():
            return datasets.load_dataset(REPOSITORIES[name])
    except OSError as error:  # no network, no such repository, offline mode
        failed = f"access to the Hugging Face hub, from which {REPOSITORIES[name]} could not be downloaded"
        accepted = f"{failed}, or data.path=FOLDER with train.parquet and test.parquet"
        raise InvalidValue("source", name, accepted) from error


@contextmanager
def quiet_hub() -> Iterator[None]:
    """No log of each attempt to reach it; of a download there is a progress bar."""
    from huggingface_hub.utils import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


def from_parquet(name: str, path: str) -> "dict[str, datasets.Dataset]":
    folder = parquet_folder(name, path)
    import datasets

    tables = {}
    with quiet_datasets():
        for split in ("train", "test"):  # one by one, as their columns may have different types
            file = str(folder / f"{split}.parquet")
            try:
                tables[split] = datasets.load_dataset("parquet", data_files=file, split="train")
            except (datasets.exceptions.DatasetsError, ValueError, OSError) as error:  # pyarrow's are the latter two
                accepted = f"a readable {split}.parquet ({root_cause(error)})"
                raise InvalidValue("path", path, accepted) from error
    return tables


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """No progress bars, and no log of what is about to be raised anyway."""
    import datasets

    had_bars, verbosity = not datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    try:
        yield
    finally:
        datasets.logging.set_verbosity(verbosity)
        if had_bars:
            datasets.enable_progress_bars()


def parquet_folder(name: str, path: str) -> Path:
    """The folder at `path`, or under it, that holds train.parquet and test.parquet."""
    if not isinstance(path, str | Path) or not Path(path).is_dir():
        raise InvalidValue("path", path, "an existing folder with train.parquet and test.parquet")
    for folder in (Path(path), Path(path, name)):
        if (folder / "train.parquet").is_file() and (folder / "test.parquet").is_file():
            return folder
    raise InvalidValue("path", path, f"a folder with train.parquet and test.parquet, in it or in its folder {name}")


def root_cause(error: BaseException) -> str:
    """The first line of the error that started it all."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error) or type(error).__name__).splitlines()[0]


def examples(table: "datasets.Dataset", source: str, path: str | None, split: str) -> Examples:
    """Labels and encoded images of one split of `source`; the images are decoded when asked for."""
    import pyarrow

    columns = table.data.table
    name = next((column for column in IMAGE_COLUMNS if column in columns.column_names), None)
    if name is None or "label" not in columns.column_names:
        found = ", ".join(columns.column_names)
        raise InvalidValue("path", path, f"columns label and image (or img) in {split}; found {found}")
    encoded, labels = columns.column(name), columns.column("label")
    if not (pyarrow.types.is_struct(encoded.type) and encoded.type.get_field_index("bytes") >= 0):
        raise InvalidValue("path", path, f"encoded images in column {name} of {split}; found {encoded.type}")
    if not pyarrow.types.is_integer(labels.type) or labels.null_count:
        found = f"{labels.type} with {labels.null_count} missing"
        raise InvalidValue("path", path, f"integer labels in {split}; found {found}")
    numbers = labels.to_numpy().astype(np.int64)
    if not numbers.size:
        raise InvalidValue("path", path, f"at least one image in {split}")
    if not 0 <= numbers.min() <= numbers.max() < CLASSES:
        raise InvalidValue("path", path, f"labels 0 to {CLASSES - 1} in {split}; found {numbers.min()}…{numbers.max()}")

    def images(rows: np.ndarray) -> np.ndarray:
        blobs = encoded.take(pyarrow.array(rows)).combine_chunks().field("bytes").to_pylist()
        return to_unit_interval(decode(blobs, source, path, split))

    return Examples(numbers, images)


def decode(blobs: list[bytes], source: str, path: str | None, split: str) -> np.ndarray:  # (N, C, H, W), uint8
    """Encoded 8-bit grey or RGB images of the size that `source` has: under its name nothing else is trained on."""
    from PIL import Image, UnidentifiedImageError

    # PIL holds the interpreter's lock for most of a small image, so threads would only slow this down.
    pixels = np.empty((len(blobs), *SIZES[source]), np.uint8)
    for row, blob in enumerate(blobs):
        try:
            image = Image.open(io.BytesIO(blob))
            array = np.asarray(image)
        except (UnidentifiedImageError, OSError, TypeError, SyntaxError) as error:
            raise InvalidValue("path", path, f"readable images; the {row + 1}-th read of {split} is not") from error
        if image.mode not in ("L", "RGB"):
            raise InvalidValue("path", path, f"8-bit grey or RGB images in {split}; found mode {image.mode}")
        if array.shape != SIZES[source]:
            expected, found = (" × ".join(map(str, size)) for size in (SIZES[source], array.shape))
            raise InvalidValue("path", path, f"images of {source}, {expected}, in {split}; found {found}")
        pixels[row] = array
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels  # (N, H, W, C)
    return pixels.transpose(0, 3, 1, 2)
