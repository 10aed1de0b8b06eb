"""The report while runs are made: written again and again, until the sweeps are over or it is interrupted."""

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from orthontk.counted import counted
from orthontk.report.sweeps import Sweep
from orthontk.report.write import Reporter

SHARE_OF_TIME = 0.2  # that reading and writing may take of a core, beside the trainings
SECONDS_BETWEEN_LINES = 60.0  # where there is no terminal


def watch(directory: Path, out: Path, every: float) -> Reporter:
    """Write the page every so many seconds, or less often where that takes long; the last time without reloading.

    It ends when every job of every sweep is done or has failed, and then prints what `report` does.
    """
    reporter, console = Reporter(directory, out), Console()
    told = Told()
    with _terminated_as_interrupted(), console.status("") as status:
        try:
            while True:
                start = time.monotonic()
                sweeps = _write(reporter, every)
                words = _in_words(sweeps, reporter)
                status.update(Text(words))  # a path is no markup
                if not console.is_terminal:
                    told.tell(words)
                if sweeps and all(sweep.is_over for sweep in sweeps):
                    break
                time.sleep(max(every, (time.monotonic() - start) / SHARE_OF_TIME))
        except KeyboardInterrupt:
            reporter.update()
    reporter.finish()
    return reporter


class Told:
    """Lines of progress where there is no terminal to keep one up to date in: when something is new, once a minute."""

    def __init__(self) -> None:
        self.last, self.next = "", 0.0

    def tell(self, words: str) -> None:
        if words == self.last or time.monotonic() < self.next:
            return
        print(words, flush=True)
        self.last, self.next = words, time.monotonic() + SECONDS_BETWEEN_LINES


def _write(reporter: Reporter, every: float) -> Sequence[Sweep]:
    """Nothing in a round in which a run has just removed a folder, such as its checkpoints: the next one is near."""
    try:
        reporter.update()
        reporter.write(reload_after=every)
        return reporter.sweeps
    except FileNotFoundError:
        return []


def _in_words(sweeps: Sequence[Sweep], reporter: Reporter) -> str:
    runs = f"{counted(len(reporter.found.runs), 'finished run')}; {reporter.out / 'index.html'}"
    return "; ".join([*(sweep.in_words() for sweep in sweeps if not sweep.is_over), runs])


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let a polite kill leave a page that no longer reloads, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
