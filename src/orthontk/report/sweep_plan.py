"""Which jobs a folder's last sweep has, from the sweep's own record or, without one, from Hydra's `multirun.yaml`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException

from orthontk.files import modified, read_json
from orthontk.report.gather import Run
from orthontk.report.rerun import provenance_of
from orthontk.run.directory import PROVENANCE, is_unused, latest_sibling, siblings
from orthontk.sweep.record import FOLDER

SETTINGS = "multirun.yaml"


@dataclass(frozen=True)
class Plan:
    """The jobs that were launched.

    Args:
        launched: when, in seconds since the epoch.
        jobs: how many.
        directories: of the runs, absolute, if they are known beforehand.
        overrides: of each job, otherwise.
    """

    launched: float
    jobs: int
    directories: frozenset[Path] = frozenset()
    overrides: frozenset[frozenset[str]] = frozenset()

    def has(self, run: Run) -> bool:
        """Whether the run is one of the jobs."""
        if self.directories:
            return absolute(run.directory) in self.directories
        return frozenset(provenance_of(run.directory).get("command", [])[1:]) in self.overrides


def planned(folder: Path) -> Plan | None:
    """The last sweep into a folder; None if there was none, but for a dry run, or nothing of it can be read."""
    try:
        records = [read_json(path) for path in folder.glob(f"{FOLDER}/*.json")]
        if records:
            return _from_record(folder, max(records, key=lambda record: str(record["launched"])))
        return _from_settings(folder / SETTINGS)
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, HydraException):
        return None


def _from_record(folder: Path, record: dict[str, Any]) -> Plan:
    launched, directories = datetime.fromisoformat(record["launched"]).timestamp(), set()
    for job in record["jobs"]:
        directory = absolute(folder / job["directory"])
        directories.add(_begun_anew(directory, launched) if job.get("again") else directory)
    return Plan(launched, len(directories), frozenset(directories))


def _begun_anew(path: Path, launched: float) -> Path:
    """Where a job runs that leaves earlier runs alone: their latest sibling, or the one that it will begin."""
    latest = latest_sibling(path)
    is_begun = modified(latest / PROVENANCE) >= launched
    return latest if is_begun else next(filter(is_unused, siblings(path)))


def _from_settings(path: Path) -> Plan | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    from hydra_plugins.orthontk_sweeper import jobs_of
    from orthontk.grids import grids_at_scale

    hydra = yaml.safe_load(path.read_text(encoding="utf-8"))["hydra"]
    task, grids = hydra["overrides"]["task"], hydra["sweeper"].get("grids")
    if hydra.get("launcher", {}).get("dry_run"):
        return None
    jobs = jobs_of(grids_at_scale(grids, _scale(task, grids or {})), OverridesParser.create().parse_overrides(task))
    return Plan(path.stat().st_mtime, len(jobs), overrides=frozenset(map(frozenset, jobs)))


def _scale(overrides: Sequence[str], grids: dict[str, Any]) -> str | None:
    """The scale of a preset's grids; without one on the command line the quick one, or the only one."""
    given = [override.partition("=")[2] for override in overrides if override.startswith("scale=")]
    return given[-1] if given else next((name for name in ("quick", *grids) if name in grids), None)


def absolute(path: Path) -> Path:
    """The one form in which directories are compared, however the folder was named."""
    return Path(os.path.abspath(path))
