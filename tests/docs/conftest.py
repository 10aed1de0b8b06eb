"""A copy of the checkout in which a page's blocks run, one after another, as a reader would run them."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from blocks import COMMANDS, PROGRAM, SETTINGS, Block, commands
from shorter import APPENDED, SWEEP

A_FEW_STEPS = {"trainer.max_steps": 5}  # of the run that the tests' W&B backend hands out to the pages' agent
LONGEST = 1200  # seconds; no command of the pages takes more than a few minutes


@dataclass
class Checkout:
    """`folder` is the copy; `data` stands for the DIR of commands."""

    folder: Path
    data: Path
    environment: dict[str, str]

    def run(self, block: Block) -> None:
        """Execute the block, or write the file that it is.

        Raises:
            AssertionError: it ends with an error; its output is in the message.
        """
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language in COMMANDS:
            for command in commands(block):
                self._execute(block, ["bash", "-euo", "pipefail", "-c", self.as_run(command)])
        elif block.language == PROGRAM:
            self._execute(block, [sys.executable, "-c", block.text])
        else:
            assert block.language != SETTINGS, (
                f"line {block.line}: a configuration must name its file in its first line"
            )

    def as_run(self, command: str) -> str:
        """The command with what shortens it, and a folder of images for DIR."""
        longest = max((start for start in APPENDED if command.startswith(start)), key=len, default=None)
        appended = f"{command} {APPENDED[longest]}" if longest else command
        for placeholder, value in {"DIR": str(self.data), **SWEEP}.items():
            appended = appended.replace(placeholder, value)
        return appended

    def _execute(self, block: Block, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LONGEST,
        )
        end = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert done.returncode == 0, f"line {block.line}: {command[-1]}\nended with {done.returncode}:\n{end}"


@pytest.fixture
def checkout(request, tmp_path, write_parquet) -> Checkout:
    """What git tracks or would track, with this environment as its `.venv`."""
    root, folder = request.config.rootpath, tmp_path / "orthontk"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    environment = folder / ".venv"
    environment.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    (environment / "installed").touch()  # newer than everything that the Makefile compares it with
    return Checkout(folder, _images(tmp_path / "data", write_parquet), _environment(folder))


@pytest.fixture(scope="session")
def slurm_clients():
    """The variables by which a command finds the tests' SLURM."""
    from slurm_cluster import slurm

    with slurm() as cluster:
        yield {name: value for name, value in cluster.environment.items() if os.environ.get(name) != value}


@pytest.fixture
def wandb_clients():
    """The variables by which a command finds a W&B backend on loopback."""
    from wandb_backend import Backend

    with Backend() as backend:
        backend.jobs = [{"model.weight_var": 1.5, "model.bias_var": 0.01, "init.scheme": "orthogonal", **A_FEW_STEPS}]
        yield backend.environment


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ORTHONTK_", "PYTEST_"))}
    path = f"{folder / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return kept | own


def _images(folder: Path, write_parquet) -> Path:
    """CIFAR-10 in form: images of 32 × 32 in three colours, of ten kinds that their mean colour tells apart."""
    generator = np.random.default_rng(0)
    for split, size in (("train", 4000), ("test", 200)):
        labels = np.arange(size) % 10
        pixels = generator.integers(0, 80, (size, 32, 32, 3)) + 15 * labels[:, None, None, None]
        write_parquet(folder / f"{split}.parquet", pixels.astype("uint8"), labels, column="img")
    return folder
