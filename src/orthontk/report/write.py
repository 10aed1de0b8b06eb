"""From a folder of runs to figures, tables and verdicts."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orthontk.checks import InvalidValue
from orthontk.counted import counted
from orthontk.files import write_json, write_text
from orthontk.own_code import in_own_code
from orthontk.report.gather import Gathered, Known, Run, gather
from orthontk.report.judge import Judged, judge
from orthontk.report.show import markdown, show, show_failed
from orthontk.report.sweeps import sweeps_in
from orthontk.report.unmeasured import unmeasured


def report(directory: Path, out: Path) -> "Reporter":
    """Judge every study under `directory`, write to `out`, and print the claims.

    Raises:
        InvalidValue: no finished run is there.
    """
    reporter = Reporter(directory, out)
    reporter.update()
    if not reporter.found.runs:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in list(reporter.skipped.items())[:3])
        accepted = "a folder with finished runs" + (f" (skipped: {reasons})" if reasons else "")
        raise InvalidValue("DIR", directory, accepted)
    reporter.finish()
    return reporter


class Reporter:
    """Reads a folder of runs again and again, each time only what has changed, and writes its report.

    Attributes:
        found: the runs.
        judged: the studies.
        sweeps: how far they are.
        skipped: the runs' folders and studies that are left out, and why.
    """

    def __init__(self, directory: Path, out: Path) -> None:
        self.directory, self.out = directory, out
        self.found, self.judged, self.sweeps = Gathered(), [], []
        self.skipped: dict[Path | str, str] = {}
        self._known: Known = {}
        self._judgements: dict[tuple[str, str], tuple[Any, Judged | str]] = {}

    def update(self) -> None:
        """Read what has changed, and judge the studies whose runs have."""
        self.found = gather(self.directory, self._known)
        self.sweeps = sweeps_in(self.directory, self.runs())
        self.skipped, self.judged = dict(self.found.skipped), []
        for key, runs in sorted(studies_in(self.found).items()):
            state = [(run.directory, self._known[run.directory][0]) for run in runs]
            if self._judgements.get(key, (None,))[0] != state:
                self._judgements[key] = state, self._judge(key, runs)
            judged = self._judgements[key][1]
            if isinstance(judged, Judged):
                self.judged.append(judged)
                self.skipped |= dict.fromkeys(judged.copies, "a newer run has the same settings and is judged")
            else:
                self.skipped["study {}, scale {}".format(*key)] = judged

    def _judge(self, key: tuple[str, str], runs: list[Run]) -> Judged | str:
        name, scale = key
        if all(run.diverged for run in runs):
            return f"not judged, as all of its {counted(len(runs), 'run')} diverged"
        try:
            return judge(name, scale, runs, self.out / f"{name}-{scale}")
        except Exception as error:  # whatever a user's study raises, the others are judged
            lacking = "".join(f"; it asks for {metric}, {text}" for metric, text in unmeasured(runs))
            return f"cannot be judged ({type(error).__name__}: {error}{in_own_code(error)}{lacking})"

    def finish(self) -> None:
        """Write for good, and print the claims and the jobs that have failed."""
        self.write()
        show(self.judged, self.skipped, self.out)
        show_failed(self.sweeps, self.directory)

    def write(self, reload_after: float | None = None) -> None:
        """Write the claims and the page, which loads itself again every `reload_after` seconds."""
        from orthontk.report.page import write_page  # Jinja2 and Plotly are extras

        self.out.mkdir(parents=True, exist_ok=True)
        if studies_in(self.found):
            write_text(self.out / "claims.md", markdown(self.judged, self.skipped))
            write_json(self.out / "verdict.json", [study.plain() for study in self.judged])
        write_page(self, reload_after)

    def write_files(self, pdf: str | None, csv: bool) -> list[Path]:
        """What was asked for beside the page; the tables' paths, and the folder of the figures."""
        from orthontk.report.prints import write_prints
        from orthontk.report.tables import write_tables

        runs = self.runs()
        written = write_tables(runs, self.labels(runs), self.out) if csv else []
        if pdf is not None:
            drawn = runs if pdf == "all" else []
            write_prints(self.judged, drawn, self.labels(drawn), self.out / "pdf")
            if (self.out / "pdf").exists():
                written.append(self.out / "pdf")
        return written

    def runs(self) -> list[Run]:
        """Finished and begun."""
        return sorted([*self.found.runs, *self.found.unfinished], key=lambda run: run.directory)

    def labels(self, runs: Sequence[Run]) -> list[str]:
        """The runs' folders, as seen from the folder reported on."""
        return [str(run.directory.relative_to(self.directory)) for run in runs]


def studies_in(found: Gathered) -> dict[tuple[str, str], list[Run]]:
    """Runs by the study and the scale they belong to."""
    studies: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in found.runs:
        if isinstance(run.get("study"), dict):
            studies[str(run.get("name")), str(run.get("scale"))].append(run)
    return dict(studies)
