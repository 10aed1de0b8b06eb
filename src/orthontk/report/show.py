"""The table of claims, in the terminal and as Markdown."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.table import Table

from orthontk.counted import counted
from orthontk.report import comparison
from orthontk.report.claims import NOT_SUPPORTED, SUPPORTED, Claim
from orthontk.report.judge import Judged
from orthontk.report.sweeps import Sweep
from orthontk.terminal import console as open_console

COLUMNS = ("study", "claim", "where", "statistic", "estimate [95 %]", "expected", "seeds", "verdict")
STYLES = {SUPPORTED: "green", NOT_SUPPORTED: "red"}


def show(judged: Sequence[Judged], skipped: Mapping[Path | str, str], out: Path) -> None:
    """Print the claims, the comparison with published figures, and what was skipped."""
    console = open_console()
    if any(study.claims for study in judged):
        table = Table(*COLUMNS, show_lines=False)
        for study in judged:
            for claim in study.claims:
                table.add_row(*_cells(study, claim), style=STYLES.get(claim.verdict, "yellow"))
        console.print(table)
    if rows := [row for study in judged for row in study.comparison]:
        beside = Table(*comparison.COLUMNS)
        for row in rows:
            beside.add_row(*comparison.cells(row))
        console.print(beside)
    for path, reason in skipped.items():
        print(f"skipped {path}: {reason}")
    print(f"Report: {out / 'index.html'}")


def show_failed(sweeps: Sequence[Sweep], directory: Path) -> None:
    """Print how far the sweeps are in which jobs have failed, and what says why."""
    failed = [sweep.in_words() for sweep in sweeps if sweep.failed]
    if failed:
        print(*failed, f"python -m orthontk.sweep status {shlex.quote(str(directory))} says why", sep="\n")


def markdown(judged: Sequence[Judged], skipped: Mapping[Path | str, str]) -> str:
    """The same, with the reasons of the margins."""
    lines = ["# Claims", ""]
    lines += [f"- {s.name} ({s.scale}): {counted(s.runs, 'finished run')} on {s.data}" for s in judged]
    lines += ["", _row([*COLUMNS, "margin's reason", "note"]), _row(["---"] * (len(COLUMNS) + 2))]
    lines += [_row([*_cells(s, claim), claim.reason, claim.note]) for s in judged for claim in s.claims]
    if rows := [row for study in judged for row in study.comparison]:
        lines += ["", f"## {comparison.HEADING}", "", _row(comparison.COLUMNS), _row(["---"] * len(comparison.COLUMNS))]
        lines += [_row(comparison.cells(row)) for row in rows]
    if skipped:
        lines += ["", "## Skipped", "", *(f"- `{path}`: {reason}" for path, reason in skipped.items())]
    return "\n".join(lines) + "\n"


def _cells(study: Judged, claim: Claim) -> list[str]:
    interval = claim.interval.in_words()
    seeds = str(claim.interval.seeds)
    name = f"{study.name} ({study.scale})"
    return [name, claim.claim, claim.where, claim.statistic, interval, claim.expected, seeds, claim.verdict]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
