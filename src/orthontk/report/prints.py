"""Figures for a paper: vector PDFs of a column's width, one for each pair of axes."""

from collections.abc import Sequence
from pathlib import Path

from orthontk.figures.draw_panels import print_panels
from orthontk.report.gather import Run
from orthontk.report.judge import Judged
from orthontk.report.run_page import figures_of


def write_prints(studies: Sequence[Judged], runs: Sequence[Run], labels: Sequence[str], out: Path) -> None:
    """Write the figures of studies that give them as data, and of the given runs."""
    for study in studies:
        if study.figure is not None:
            print_panels(study.figure, out / f"{study.name}-{study.scale}")
    for run, label in zip(runs, labels, strict=True):
        for name, content in figures_of(run).items():
            print_panels(content, out / "runs" / label / name)
