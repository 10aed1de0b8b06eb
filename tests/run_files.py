"""Whether two run directories hold the same: everything bit for bit but wall-clock times."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from orthontk.csv_rows import read_rows
from orthontk.files import read_json

TABLES = ("metrics.csv", "replicas.csv")


def assert_same_run(one: Path, other: Path) -> None:
    """The same files with the same content. W&B's own are compared by `wandb_history`."""
    files = _files(one)
    assert files == _files(other)
    assert {Path("config.yaml"), Path("metrics.csv"), Path("summary.json")} <= set(files)
    for file in files:
        first, second = (_content(directory / file) for directory in (one, other))
        assert _equal(first, second), f"{one / file} differs from {other / file}"


def wandb_history(directory: Path) -> list[dict[str, Any]]:
    """What the only offline W&B run holds for each step, as W&B's own reader prints it."""
    (recorded,) = directory.glob("wandb/offline-run-*/run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(recorded)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in printed.splitlines()]
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    assert [item["_step"] for item in items] == sorted({item["_step"] for item in items})  # each step once
    chance = ("time/", "_runtime", "_timestamp", "artifact_path")  # W&B draws names of artifacts
    return [{name: value for name, value in item.items() if not any(part in name for part in chance)} for item in items]


def _files(directory: Path) -> list[Path]:
    """All but W&B's own and hidden ones, such as a lock."""
    files = (path.relative_to(directory) for path in directory.rglob("*") if path.is_file())
    return sorted(file for file in files if file.parts[0] != "wandb" and not file.name.startswith("."))


def _content(path: Path) -> Any:
    if path.name in TABLES:
        return [without_times(row) for row in read_rows(path)]
    if path.name == "provenance.json":
        return read_json(path)["packages"]  # not the command, nor the commit of a checkout that is being worked on
    if path.suffix == ".json":
        return without_times(read_json(path))
    if path.suffix == ".ckpt":
        return torch.load(path, weights_only=True)
    return path.read_bytes()


def without_times(value: Any) -> Any:
    """A row, or whatever has some, less its wall-clock times, which no other run repeats."""
    if isinstance(value, list):
        return [without_times(one) for one in value]
    if isinstance(value, dict):
        return {name: without_times(one) for name, one in value.items() if not name.startswith("time/")}
    return value


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other or (one != one and other != other)  # NaN is NaN
