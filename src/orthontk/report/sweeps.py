"""How far the sweeps in a folder are: jobs done, failed and running, their rate, and the time left."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orthontk.counted import counted
from orthontk.files import modified
from orthontk.report.gather import Run
from orthontk.report.sweep_plan import SETTINGS, Plan, absolute, planned
from orthontk.run.directory import PROVENANCE, SUMMARY
from orthontk.sweep.state import DONE, FAILED, RUNNING, state_of


@dataclass(frozen=True)
class Sweep:
    """One sweep.

    Args:
        jobs: how many it has; None if nothing says so.
        new: jobs done since the sweep was started.
        part: of the jobs that are running, what they have done, in jobs.
        elapsed: seconds from the start to now, or to the last sign of life of a sweep that has stopped.
    """

    name: str
    jobs: int | None
    done: int
    failed: int
    running: int
    new: int
    part: float
    elapsed: float

    @property
    def is_over(self) -> bool:
        """Whether every job is done or has failed."""
        return self.jobs is not None and self.done + self.failed >= self.jobs

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return (self.new + self.part) / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """None where that cannot be told: no job has got on yet, or none is running."""
        if self.jobs is None or self.is_over or self.rate == 0 or not self.running:
            return None
        return (self.jobs - self.done - self.failed - self.part) / self.rate

    def in_words(self) -> str:
        """
        >>> Sweep("speed", 10, done=4, failed=1, running=2, new=4, part=1.0, elapsed=60.0).in_words()
        'speed: 4 of 10 jobs done, 1 failed, 2 running, 5 jobs a minute, about 48 s left'
        """
        many = counted(self.done, "job") if self.jobs is None else f"{self.done} of {counted(self.jobs, 'job')}"
        parts = [f"{many} done", *([f"{self.failed} failed"] if self.failed else [])]
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
        sweep = _sweep(absolute(folder).name, by_folder.get(folder, []), plan, now)
        if plan is not None or sweep.running:
            found.append(sweep)
    return found


def _sweep(name: str, runs: Sequence[Run], plan: Plan | None, now: float) -> Sweep:
    own = [run for run in runs if plan is None or plan.has(run)]
    finished = [run for run in own if run.finished]
    begun = {absolute(run.directory): run for run in own if not run.finished}
    # A job that was refused before it wrote its configuration is no run.
    others = {*begun, *(plan.directories if plan is not None else ())} - {absolute(run.directory) for run in finished}
    states = {directory: state_of(directory).kind for directory in others}
    running = [run for directory, run in begun.items() if states[directory] == RUNNING]
    counts = Counter(states.values())
    start = plan.launched if plan is not None else min(map(_first_sign, running), default=now)
    ends = [end for run in finished if (end := modified(run.directory / SUMMARY)) >= start]
    part = sum(map(_part_done, running))
    end = now if counts[RUNNING] else max(ends, default=start)
    jobs = None if plan is None else plan.jobs
    done = len(finished) + counts[DONE]  # with those whose results cannot be read
    return Sweep(name, jobs, done, counts[FAILED], counts[RUNNING], len(ends), part, end - start)


def _part_done(run: Run) -> float:
    """The share of its steps that a run has made."""
    most, last = run.get("trainer.max_steps"), max((row["step"] for row in run.rows), default=0)
    return min(1.0, last / most) if isinstance(most, int) and most > 0 else 0.0


def _first_sign(run: Run) -> float:
    return modified(run.directory / PROVENANCE)


def _duration(seconds: float) -> str:
    """
    >>> _duration(42), _duration(600), _duration(7260)
    ('42 s', '10 min', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
