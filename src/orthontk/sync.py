"""Upload offline W&B runs, once each: `python -m orthontk.sync DIR`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from orthontk.cli import command, require_folder_of_runs
from orthontk.files import read_json
from orthontk.run.directory import CONFIG, SUMMARY

AT_ONCE = 200  # paths that one command line gets


@dataclass
class OfflineRuns:
    """The recordings under a folder: W&B's `.wandb` files of finished runs, and why others are left.

    `cut_off` are those of which an earlier upload may have sent a part.
    """

    waiting: list[Path] = field(default_factory=list)
    cut_off: list[Path] = field(default_factory=list)
    uploaded: list[Path] = field(default_factory=list)
    left: dict[Path, str] = field(default_factory=dict)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m orthontk.sync",
        description="Upload the offline W&B runs under a folder that have not been. Runs that are not finished are "
        "left and named: what is recorded of them changes when they go on. An interrupted upload is continued by the "
        "same command. `wandb login` comes first, or WANDB_API_KEY.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a folder of runs, such as outputs")
    parser.add_argument("--entity", help="whose runs they become (default: what they were recorded with, or your own)")
    parser.add_argument("--project", help="in which project (default: the one they were recorded with)")
    return parser.parse_args()


def find(root: Path) -> OfflineRuns:
    """All offline runs under `root`, at any depth."""
    found = OfflineRuns()
    for recording in sorted(_recordings(root)):
        directory = recording.parents[2]
        if _is_uploaded(recording):
            found.uploaded.append(recording)
        elif reason := _unfinished(directory):
            found.left[directory] = reason
        else:
            (found.cut_off if _mark(recording).exists() else found.waiting).append(recording)
    return found


def _recordings(root: Path) -> Iterator[Path]:
    """`<run directory>/wandb/offline-run-<date>-<id>/run-<id>.wandb`."""
    for folder, names, _ in os.walk(root):
        if Path(folder).match("wandb/offline-run-*"):
            yield from Path(folder).glob("*.wandb")
            names.clear()  # a recording holds no runs


def _is_uploaded(recording: Path) -> bool:
    """W&B leaves this file beside a recording that has arrived whole."""
    return recording.with_suffix(".wandb.synced").exists()


def _mark(recording: Path) -> Path:
    """Lies beside a recording while it is uploaded."""
    return recording.with_suffix(".wandb.uploading")


def _unfinished(directory: Path) -> str | None:
    summary = directory / SUMMARY
    try:
        is_finished = summary.exists() and read_json(summary)["status"] == "finished"
    except (ValueError, KeyError, TypeError):
        return f"{SUMMARY} cannot be read"
    return None if is_finished else "not finished; still running, or the same command continues it"


def upload(recordings: Sequence[Path], options: Sequence[str], root: Path) -> list[Path]:
    """Upload with `wandb sync`, whose progress is printed; returns those that have not arrived whole.

    Its own logs go to `root`/wandb/logs.
    """
    environment = {**os.environ, "WANDB_DIR": str(root)}
    for start in range(0, len(recordings), AT_ONCE):
        some = recordings[start : start + AT_ONCE]
        for recording in some:
            _mark(recording).touch()
        command = [sys.executable, "-m", "wandb", "sync", *options, *map(str, some)]
        subprocess.run(command, env=environment, check=False)
        for recording in filter(_is_uploaded, some):
            _mark(recording).unlink()
    return [recording for recording in recordings if not _is_uploaded(recording)]


def continue_upload(recording: Path, entity: str | None, project: str | None) -> bool:
    """Send what is missing of a run, from its own files: `wandb sync` would append all of it to what has arrived.

    Returns whether that has arrived.
    """
    from orthontk.loggers.wandb_run import WandbRun  # torch and Lightning, which most uploads do without
    from wandb import Error

    directory = recording.parents[2]
    try:
        loggers = (yaml.safe_load((directory / CONFIG).read_text(encoding="utf-8")).get("logger") or {}).values()
        recorded = next((node for node in loggers if str(node.get("_target_")).endswith(".WandbRun")), {})
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        print(f"{directory / CONFIG}: expected the run's settings, which cannot be read", file=sys.stderr)
        return False
    settings = {name: recorded[name] for name in ("project", "entity", "group", "tags") if recorded.get(name)}
    settings |= {name: value for name, value in (("entity", entity), ("project", project)) if value}
    try:
        WandbRun(directory, mode="online", **settings).log_directory()
    except Error as error:  # such as no answer
        print(f"{directory}: {error}", file=sys.stderr)
        return False
    recording.with_suffix(".wandb.synced").touch()
    _mark(recording).unlink()
    return True


@command
def main() -> None:
    options = arguments()
    require_folder_of_runs(options.directory)
    found = find(options.directory)
    given = [f"--{name}={getattr(options, name)}" for name in ("entity", "project") if getattr(options, name)]
    missing = upload(found.waiting, given, options.directory)
    missing += [one for one in found.cut_off if not continue_upload(one, options.entity, options.project)]
    done = len(found.waiting) + len(found.cut_off) - len(missing)
    failed = f", failed {len(missing)}" if missing else ""
    print(f"uploaded {done}, before {len(found.uploaded)}, left {len(found.left)}{failed}")
    if not (found.waiting or found.cut_off or found.uploaded or found.left):
        print("no offline W&B run is here: runs record one with logger=wandb")
    for directory, reason in found.left.items():
        print(f"left {directory}: {reason}")
    for recording in missing:
        print(f"not uploaded {recording.parents[2]}: see above", file=sys.stderr)
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
