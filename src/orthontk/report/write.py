"""From a folder of runs to figures, tables and verdicts."""

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from hydra.utils import get_class

from orthontk.checks import InvalidValue
from orthontk.files import write_json, write_text
from orthontk.report.claims import Claim
from orthontk.report.gather import Gathered, Run, gather
from orthontk.report.show import markdown, show

EMBEDDED = {"mnist_5k": "5,000 embedded digits, not the paper's images", "gaussian": "Gaussian inputs"}


class Judged(NamedTuple):
    """A study of one scale on one data set."""

    name: str
    scale: str
    data: str
    runs: int
    claims: list[Claim]
    comparison: list[dict[str, Any]]


def report(directory: Path, out: Path) -> list[Judged]:
    """Judge every study under `directory`, write to `out`, and print the claims.

    Raises:
        InvalidValue: no finished run of a study is there.
    """
    found = gather(directory)
    judged = []
    for (name, scale), runs in sorted(studies_in(found).items()):
        try:
            judged.append(_judge(name, scale, runs, out / f"{name}-{scale}"))
        except (KeyError, ValueError, OSError, AttributeError, TypeError) as error:
            folder = runs[0].directory.parent
            found.skipped[folder] = f"study {name} cannot be judged ({type(error).__name__}: {error})"
    if not judged:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in list(found.skipped.items())[:3])
        accepted = "a folder with finished runs of a study" + (f" (skipped: {reasons})" if reasons else "")
        raise InvalidValue("DIR", directory, accepted)
    write_text(out / "claims.md", markdown(judged, found.skipped))
    write_json(out / "verdict.json", [_plain(study) for study in judged])
    show(judged, found.skipped, out)
    return judged


def studies_in(found: Gathered) -> dict[tuple[str, str], list[Run]]:
    """Runs by the study and the scale they belong to."""
    studies: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in found.runs:
        if isinstance(run.get("study"), dict):
            studies[str(run.get("name")), str(run.get("scale"))].append(run)
    return dict(studies)


def study_of(run: Run) -> Any:
    """The object that judges a run's study.

    Raises:
        InvalidValue: `study._target_` is no class of studies.
    """
    from orthontk.studies import Study

    settings = dict(run.get("study"))
    target = settings.pop("_target_", None)
    try:
        kind = get_class(str(target))
    except Exception as error:  # Hydra raises whatever importing the user's module does
        raise InvalidValue("study._target_", target, "a subclass of orthontk.studies.Study") from error
    if not issubclass(kind, Study):
        raise InvalidValue("study._target_", target, "a subclass of orthontk.studies.Study")
    return kind(**settings)


def _judge(name: str, scale: str, runs: list[Run], out: Path) -> Judged:
    study = study_of(runs[0])
    table = study.table(runs)
    sources = sorted({str(run.get("data.source")) for run in runs})
    data = ", ".join(EMBEDDED.get(source, source) for source in sources)
    judged = Judged(name, scale, data, len(runs), study.claims(table), study.comparison(table))
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "results.csv", table.to_csv(index=False))
    write_json(out / "verdict.json", _plain(judged))
    study.draw(table, out / f"{name}.png", f"{name}, scale {scale}; {data}; {len(runs)} runs")
    return judged


def _plain(judged: Judged) -> dict[str, Any]:
    return {
        "study": judged.name,
        "scale": judged.scale,
        "data": judged.data,
        "runs": judged.runs,
        "claims": [claim.plain() for claim in judged.claims],
        "comparison": judged.comparison,
    }
