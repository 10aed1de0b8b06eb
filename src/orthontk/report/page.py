"""`index.html`: one page that holds everything it shows, and needs neither a server nor a network."""

import base64
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from orthontk.files import write_text
from orthontk.report import comparison
from orthontk.report.claims import NOT_SUPPORTED, SUPPORTED
from orthontk.report.figure_data import figure_data
from orthontk.report.gather import NOT_FINISHED
from orthontk.report.judge import Judged
from orthontk.report.pack import packed_json, packed_plotly
from orthontk.report.run_page import forget_others, packed_run
from orthontk.report.runs_table import SHOWN_AT_FIRST, runs_table
from orthontk.report.sweeps import Sweep
from orthontk.report.thin import Detail
from orthontk.runs.texts import RESULTS, number, plain

if TYPE_CHECKING:
    from orthontk.report.write import Reporter

MARKS = {SUPPORTED: ("yes", "✓"), NOT_SUPPORTED: ("no", "✗")}  # a sign beside the colour
KEPT = ".runs"  # under the report's folder: what was computed of each run, to be used again


def write_page(reporter: "Reporter", reload_after: float | None = None) -> Path:
    """Write the page of what a reporter has found, whole or not at all, and return its path."""
    now, runs = time.time(), reporter.runs()
    labels = reporter.labels(runs)
    detail = Detail.of_page(len(runs))
    text = _environment().get_template("index.html.j2").render(
        folder=reporter.directory.resolve().name,
        written=time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(now)),
        settings={"reload": reload_after, "written": round(now)},
        studies=_studies(reporter.judged, detail),
        table=runs_table(runs, labels),
        results=RESULTS,
        shown_at_first=SHOWN_AT_FIRST,
        runs=[packed_run(run, label, detail, reporter.out / KEPT) for run, label in zip(runs, labels, strict=True)],
        sweeps=[_progress(sweep) for sweep in _shown_sweeps(reporter.sweeps, reload_after)],
        skipped={str(path): reason for path, reason in reporter.skipped.items() if reason != NOT_FINISHED},
        plotly=packed_plotly(),
        marks=MARKS,
        comparison=comparison,
    )  # fmt: skip
    forget_others(runs, reporter.out / KEPT)
    path = reporter.out / "index.html"
    write_text(path, text)
    return path


def _shown_sweeps(sweeps: Sequence[Sweep], reload_after: float | None) -> list[Sweep]:
    """All while they are watched, otherwise those that are still at work."""
    return [sweep for sweep in sweeps if reload_after is not None or sweep.running]


def _progress(sweep: Sweep) -> dict[str, Any]:
    return {"name": sweep.name, "done": sweep.done, "jobs": sweep.jobs, "words": sweep.in_words()}


def _studies(judged: Sequence[Judged], detail: Detail) -> list[dict[str, Any]]:
    """Called by their names alone where that tells them apart."""
    names = [one.name for one in judged]
    shorts = [one.name if names.count(one.name) == 1 else f"{one.name} {one.scale}" for one in judged]
    return [_study(one, detail) | {"short": short} for one, short in zip(judged, shorts, strict=True)]


def _study(judged: Judged, detail: Detail) -> dict[str, Any]:
    content: dict[str, Any] = {"title": f"{judged.name}, scale {judged.scale}", "image": None, "figure": None}
    if judged.figure is not None:
        content["figure"] = packed_json(figure_data(judged.figure, detail.points))
    elif judged.image is not None:
        content["image"] = "data:image/png;base64," + base64.b64encode(judged.image.read_bytes()).decode()
    return {"judged": judged, "id": f"{judged.name}-{judged.scale}", **content}


@cache
def _environment() -> Environment:
    """Whatever a name or setting says, it is shown as text."""
    environment = Environment(
        loader=PackageLoader("orthontk.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"number": number, "plain": plain}
    return environment
