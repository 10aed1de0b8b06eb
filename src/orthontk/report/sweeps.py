"""How far the sweeps in a folder are: jobs done and running, their rate, and the time left."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orthontk.report.gather import Run
from orthontk.report.sweep_plan import SETTINGS, Plan, planned
from orthontk.run.directory import PROVENANCE, SUMMARY

RUNNING = 120.0  # seconds without a sign of life after which an unfinished job no longer counts as running


@dataclass(frozen=True)
class Sweep:
    """One sweep.

    Args:
        jobs: how many it has; None if nothing says so.
        work: jobs done, with the part done of those that are not, since the sweep was started.
        elapsed: seconds from the start to now, or to the last sign of life of a sweep that has stopped.
    """

    name: str
    jobs: int | None
    done: int
    running: int
    work: float
    elapsed: float

    @property
    def is_over(self) -> bool:
        return self.jobs is not None and self.done >= self.jobs

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.work / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None where that cannot be told: no job has got on yet, or none is running."""
        if self.jobs is None or self.is_over or self.rate == 0 or not self.running:
            return None
        return (self.jobs - self.done) / self.rate

    def in_words(self) -> str:
        """
        >>> Sweep("speed", 10, 4, 2, 5.0, 60.0).in_words()
        'speed: 4 of 10 jobs done, 2 running, 5 jobs a minute, about 1 min left'
        """
        many = f"{self.done} of {self.jobs} jobs done" if self.jobs is not None else f"{self.done} jobs done"
        parts = [many]
        if not self.is_over:
            parts.append(f"{self.running} running")
            if self.running and self.rate > 0:
                parts.append(f"{60 * self.rate:.2g} jobs a minute")
            if self.seconds_left is not None:
                parts.append(f"about {_duration(self.seconds_left)} left")
        return f"{self.name}: " + ", ".join(parts)


def sweeps_in(root: Path, runs: Sequence[Run], now: float | None = None) -> list[Sweep]:
    """The last sweep of every folder of runs, and every folder that has a run at work."""
    now = time.time() if now is None else now
    by_folder: dict[Path, list[Run]] = {}
    for run in runs:
        by_folder.setdefault(run.directory.parent, []).append(run)
    begun = [path for name in ("", "*/") for path in root.glob(f"{name}{SETTINGS}")]
    found = []
    for folder in sorted({path.parent for path in begun} | by_folder.keys()):
        plan = planned(folder)
        sweep = _sweep(folder.name, by_folder.get(folder, []), plan, now)
        if plan is not None or sweep.running:
            found.append(sweep)
    return found


def _sweep(name: str, runs: Sequence[Run], plan: Plan | None, now: float) -> Sweep:
    own = [run for run in runs if plan is None or plan.has(run)]
    finished = [run for run in own if run.finished]
    running = [run for run in own if not run.finished and now - _last_sign(run.directory) < RUNNING]
    start = plan.launched if plan is not None else min(map(_first_sign, running), default=now)
    new = [run for run in finished if _modified(run.directory / SUMMARY) >= start]
    work = len(new) + sum(_part_done(run) for run in running)
    end = now if running else max((_modified(run.directory / SUMMARY) for run in new), default=start)
    return Sweep(name, None if plan is None else plan.jobs, len(finished), len(running), work, end - start)


def _part_done(run: Run) -> float:
    """The share of its steps that a run has made."""
    most, last = run.get("trainer.max_steps"), max((row["step"] for row in run.rows), default=0)
    return min(1.0, last / most) if isinstance(most, int) and most > 0 else 0.0


def _last_sign(directory: Path) -> float:
    """When anything in a run's folder or the folders in it last changed."""
    files = [directory, *directory.iterdir(), *directory.glob("*/*"), *directory.glob("chunks/*/*")]
    return max(map(_modified, files))


def _first_sign(run: Run) -> float:
    return _modified(run.directory / PROVENANCE)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone, such as the half-written part of a file that is now whole
        return 0.0


def _duration(seconds: float) -> str:
    """
    >>> _duration(42), _duration(600), _duration(7260)
    ('42 s', '10 min', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
