"""A study of one scale judged by its runs: claims, the table that they follow from, and the figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from orthontk.counted import counted
from orthontk.figures.panels import PanelFigure
from orthontk.files import finite_or_none, write_json, write_text
from orthontk.identity import first_difference
from orthontk.report.apart import name_differences, newest_of_each
from orthontk.report.claims import ALL_CLAIMS, Claim, not_judged
from orthontk.report.gather import Run
from orthontk.report.trainings import trainings_of
from orthontk.report.unmeasured import unmeasured
from orthontk.studies.from_settings import study_from
from orthontk.studies.study import Study

EMBEDDED = {"mnist_5k": "5,000 embedded digits", "gaussian": "Gaussian inputs"}
OTHER_IMAGES = ", not the paper's images"  # of the paper's studies


class Judged(NamedTuple):
    """A study of one scale on one data set.

    Args:
        figure: as data, if the study gives it.
        image: the drawn figure, if it is there.
        copies: directories of runs that are left out, as a newer one has the same settings.
    """

    name: str
    scale: str
    data: str
    runs: int
    claims: list[Claim]
    comparison: list[dict[str, Any]]
    figure: PanelFigure | None = None
    image: Path | None = None
    copies: Sequence[Path] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study": self.name,
            "scale": self.scale,
            "data": self.data,
            "runs": self.runs,
            "claims": [claim.plain() for claim in self.claims],
            "comparison": [finite_or_none(row) for row in self.comparison],
        }


def judge(name: str, scale: str, found: Sequence[Run], out: Path) -> Judged:
    """Judge the study of the runs that were found, and write its table, verdict and figure to `out`.

    Raises:
        ValueError: the runs say different things of how they are judged.
        Exception: whatever a user's study raises.
    """
    runs = newest_of_each(found)
    _require_one_study(runs)
    study = study_from(runs[0].get("study"))
    trainings = newest_of_each(trainings_of(runs))
    name_differences(trainings, study.AXES)
    table = study.table_with_axes(trainings)
    claims, compared = ([], []) if table.empty else (study.claims(table), study.comparison(table))
    claims = claims or [not_judged(ALL_CLAIMS, "", study.needs(table))]
    claims += [not_judged(f"what is judged by {metric}", "", f"{metric}, {text}") for metric, text in unmeasured(runs)]
    kept = {run.directory for run in runs}
    copies = [run.directory for run in found if run.directory not in kept]
    judged = Judged(name, scale, _data_of(study, runs), len(runs), claims, compared, copies=copies)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "results.csv", table.to_csv(index=False))
    write_json(out / "verdict.json", judged.plain())
    image = out / f"{name}.png"
    image.unlink(missing_ok=True)  # of other runs, which a study that draws nothing now would leave
    if table.empty:
        return judged
    networks = "" if len(trainings) == len(runs) else f" of {counted(len(trainings), 'network')}"
    study.draw(table, image, f"{name}, scale {scale}; {judged.data}; {counted(len(runs), 'run')}{networks}")
    return judged._replace(figure=study.figure(table), image=image if image.exists() else None)


def _data_of(study: Study, runs: Sequence[Run]) -> str:
    sources = sorted({str(run.get("data.source")) for run in runs})
    data = ", ".join(EMBEDDED.get(source, source) for source in sources)
    is_of_package = type(study).__module__.startswith("orthontk.")
    return data + OTHER_IMAGES if "mnist_5k" in sources and is_of_package else data


def _require_one_study(runs: Sequence[Run]) -> None:
    """Margins change no measurement, so runs with different ones can be of one name and scale."""
    first, *others = runs
    for other in others:
        if found := first_difference(first.get("study"), other.get("study"), "study"):
            key, one, another = found
            places = f"{key} is {one} in {first.directory.name} and {another} in {other.directory.name}"
            raise ValueError(f"{places}, but one value judges all runs of a name and scale")
