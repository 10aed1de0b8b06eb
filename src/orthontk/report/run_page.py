"""Everything that the page shows of one run, packed; computed once for each state of its files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError

import orthontk
from orthontk.counted import counted
from orthontk.csv_rows import DamagedTable
from orthontk.figures.ensemble import ensemble_figures
from orthontk.figures.panels import PanelFigure
from orthontk.figures.run import run_figures
from orthontk.files import read_json, write_json
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.report.figure_data import figure_data
from orthontk.report.gather import Run, fingerprint
from orthontk.report.heatmap_data import heatmap_data
from orthontk.report.pack import packed_json
from orthontk.report.rerun import provenance_of, rerun_command
from orthontk.report.runs_table import status_of
from orthontk.report.thin import Detail
from orthontk.run.directory import KERNELS, REPLICAS


def packed_run(run: Run, label: str, detail: Detail, kept: Path) -> str:
    """The run's page as packed JSON, from `kept` where it was put by an earlier call and nothing has changed."""
    state = json.dumps([_code(), label, asdict(detail), fingerprint(run.directory)])
    file = _file_of(run, kept)
    try:
        before = read_json(file)
        if before["state"] == state:
            return str(before["page"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not there, or damaged
    page = packed_json(run_page(run, label, detail))
    kept.mkdir(parents=True, exist_ok=True)
    write_json(file, {"state": state, "page": page})
    return page


def forget_others(runs: Sequence[Run], kept: Path) -> None:
    """Remove what was kept of runs that are no longer there."""
    files = {_file_of(run, kept) for run in runs}
    for file in kept.glob("*.json"):
        if file not in files:
            file.unlink(missing_ok=True)


def _file_of(run: Run, kept: Path) -> Path:
    return kept / f"{hashlib.sha256(str(run.directory.resolve()).encode()).hexdigest()[:16]}.json"


@cache
def _code() -> str:
    """Changes with the package, any part of which may have a share in these pages: another version makes them anew."""
    files = sorted(Path(orthontk.__file__).parent.rglob("*.py"))
    states = [(str(file), file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()[:16]


def run_page(run: Run, label: str, detail: Detail) -> dict[str, Any]:
    """Plain values for the page's script."""
    made_by = provenance_of(run.directory)
    facts = {name: made_by.get(name) for name in ("git_commit", "orthontk", "python", "machine") if made_by.get(name)}
    steps = counted(run.summary["steps"], "step") if "steps" in run.summary else ""
    replicas = counted(run.summary["replicas"], "replica") if "replicas" in run.summary else ""
    return {
        "label": label,
        "status": ", ".join(filter(None, [status_of(run), steps, replicas])),
        "figures": [figure_data(content, detail.points) for content in figures_of(run).values()],
        "heatmap": _heatmap(run.directory, detail),
        "command": rerun_command(run),
        "facts": {name: str(value) for name, value in facts.items()},
        "config": yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True),
    }


def figures_of(run: Run) -> dict[str, PanelFigure]:
    """By name; none of a file that is damaged or that a running process is writing."""
    try:
        if (run.directory / REPLICAS).exists():
            return ensemble_figures(run.directory)
        return run_figures(run.directory, run.rows)
    except (OSError, DamagedTable, SafetensorError):
        return {}


def _heatmap(directory: Path, detail: Detail) -> dict[str, Any] | None:
    try:
        series = KernelSeries.read(directory / KERNELS)
    except (OSError, SafetensorError):
        return None
    found = heatmap_data(series, detail)
    return found if found["checkpoints"] else None
