"""How far all studies together are, and the time left, from the runs that are finished on disk."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tqdm import tqdm

from orthontk.run.directory import SUMMARY
from orthontk.sweep.record import read_records


class WholeProgress:
    """One bar over all studies, in seconds of work; a line a minute where there is no terminal.

    Args:
        out: the studies' folders are in it.
        seconds: what each study takes.
        jobs: how many jobs it has.
    """

    def __init__(self, out: Path, seconds: Mapping[str, float], jobs: Mapping[str, int]) -> None:
        self.out, self.seconds, self.jobs = out, seconds, jobs
        self.plain = not sys.stderr.isatty()
        self.bar = tqdm(
            total=100.0,
            initial=round(self.share(), 1),  # what an interrupted call has left done counts neither for nor against
            bar_format="{percentage:3.0f}% |{bar:30}| {elapsed} passed, {remaining} left; {desc}",
            delay=float("inf") if self.plain else 0,
            smoothing=0,
        )

    def share(self) -> float:
        """Per cent of the work of all studies that is done."""
        done = sum(self.seconds[study] * min(1, self.finished(study) / self.jobs[study]) for study in self.jobs)
        return 100 * done / sum(self.seconds[study] for study in self.jobs)

    def finished(self, study: str) -> int:
        """Of the jobs of its last multirun: runs of other settings, as of an earlier version, may lie beside them."""
        folder = self.out / study
        jobs = next((record.jobs for record in read_records(folder)), ())
        return sum((folder / job.directory / SUMMARY).exists() for job in jobs)

    def follow(self, study: str, is_running: Callable[[], bool]) -> None:
        """Show progress until the study's multirun has ended."""
        next_line = time.monotonic() + 60
        while is_running():
            self._update(study)
            if self.plain and time.monotonic() > next_line:
                next_line += 60
                print(self.bar, file=sys.stderr, flush=True)
            time.sleep(0.5)
        self._update(study)
        if self.plain:
            print(self.bar, file=sys.stderr, flush=True)

    def _update(self, study: str) -> None:
        self.bar.set_description_str(f"{study}, job {self.finished(study)} of {self.jobs[study]}", refresh=False)
        self.bar.update(self.share() - self.bar.n)
        if not self.plain:
            self.bar.refresh()

    def close(self) -> None:
        self.bar.close()
