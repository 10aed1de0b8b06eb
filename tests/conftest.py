"""What tests share: running `train.py` inside this process, which saves seconds of imports, and real images on disk."""

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from orthontk.flags import flags_and_settings
from small_run import SMALL

settings.register_profile("any machine", deadline=None)  # a slow example is no failure: machines are shared
settings.load_profile("any machine")
ROOT = Path(__file__).parent.parent


@dataclass
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def run_directory(self) -> Path:
        lines = [line for line in self.out.splitlines() if line.startswith("Results: ")]
        return Path(lines[-1].removeprefix("Results: ").strip())


@pytest.fixture
def seeded():
    """Random numbers that are the same whenever the test runs."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


@pytest.fixture
def train(monkeypatch, capsys, tmp_path):
    """`train("model=fcn", …)` is `python train.py model=fcn …`, with results under the test's own folder."""

    monkeypatch.delenv("ORTHONTK_DEBUG", raising=False)

    def command(*arguments: str) -> Result:
        for variable in ("ORTHONTK_RUN_DIRECTORY", "ORTHONTK_RUN_CHECKPOINT", "ORTHONTK_RUN_PROCESS"):
            monkeypatch.delenv(variable, raising=False)
        flags, settings = flags_and_settings(arguments)  # of which Hydra wants the flags first
        command = [str(ROOT / "train.py"), *flags, *settings, f"paths.output_dir={tmp_path}/outputs"]
        monkeypatch.setattr(sys, "argv", command)
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return command


@pytest.fixture
def small(train):
    """`train` with the settings of a job of a second, which the test's own come after."""
    return lambda *arguments: train("model=fcn", *SMALL, *arguments)


@pytest.fixture
def composed():
    """`composed("model=fcn", …)` gives the settings of `python train.py model=fcn …`."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from orthontk.identity import register_resolvers

    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        yield lambda *overrides, **options: compose("config", list(overrides), **options)


@pytest.fixture
def run_module(monkeypatch, capsys):
    """`run_module(NAME, …)` is `python -m NAME …` in this process; returns its exit code and what it printed."""

    def call(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.delitem(sys.modules, name, raising=False)
        code = 0
        try:
            runpy.run_module(name, run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        return code, capsys.readouterr()

    return call


@pytest.fixture(scope="session")
def digits():
    """(pixels (1000, 28, 28) uint8, labels (1000,)) of real digits, 100 of each class."""
    from orthontk.data import TensorDataModule

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
    """A folder with 200 training and 100 test digits, 20 and 10 of each class, in the columns image and label.

    Its folder cifar10 holds the same, as large and as coloured as that set's images.
    """
    pixels, labels = digits
    position = np.arange(1000) % 100  # within its class
    for split, rows in (("train", position < 20), ("test", position >= 90)):
        grey, large = pixels[rows], np.pad(pixels[rows], ((0, 0), (2, 2), (2, 2)))
        write_parquet(tmp_path / f"{split}.parquet", grey, labels[rows])
        coloured = np.stack([large, np.roll(large, 4, 1), 255 - large], axis=-1)
        write_parquet(tmp_path / "cifar10" / f"{split}.parquet", coloured, labels[rows], "img")
    return tmp_path
