"""What made a run: the code's version, the packages, the machine."""

import platform
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from orthontk.overrides import quoted

PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "torchmetrics", "wandb", "numpy", "scipy", "safetensors")


def provenance() -> dict[str, Any]:
    """Plain values that say what code on what machine produced a result."""
    return {
        "orthontk": version("orthontk"),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "machine": platform.platform(),
        "command": [sys.argv[0], *HydraConfig.get().overrides.task],
        "config_folders": config_folders(),
    }


def config_folders(hydra: DictConfig | None = None) -> list[str]:
    """Folders with configurations of one's own, from `--config-dir` or `hydra.searchpath`.

    Args:
        hydra: Hydra's settings of the job that is asked about; None: those of this process.
    """
    if hydra is None and HydraConfig.initialized():
        hydra = HydraConfig.get()
    sources = [] if hydra is None else hydra.runtime.config_sources
    return [source.path for source in sources if source.schema == "file" and source.provider != "main"]


def searching(folders: Iterable[str | Path]) -> list[str]:
    """The override that lets Hydra look for configurations in these folders, too; none of no folders.

    >>> searching(["/data/own", "/my own"])
    ["hydra.searchpath=[file:///data/own,'file:///my own']"]
    """
    places = ",".join(quoted(f"file://{folder}") for folder in folders)
    return [f"hydra.searchpath=[{places}]"] if places else []


@cache
def git_commit() -> str | None:
    """The commit this code is at, with `+changes` if its files differ from it; None outside a checkout.

    Asked once a process, which keeps the code that it began with.
    """
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return f"{commit}+changes" if git("status", "--porcelain", "--untracked-files=no", ":/") else commit
    except (OSError, subprocess.CalledProcessError):
        return None
