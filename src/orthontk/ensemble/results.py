"""What is left of an ensemble: the chunks' own files, and in the end one table of steps and one of replicas."""

import csv
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from orthontk.csv_rows import write_rows
from orthontk.ensemble.replicas import COLUMNS, IDENTITY, Replica
from orthontk.ensemble.rows import ReplicaRows
from orthontk.files import finite_or_none, read_json, write_json
from orthontk.run.directory import CHUNK_RESULT, CHUNKS, METRICS, REPLICAS, SUMMARY, lost_history
from orthontk.splits import TAU_SPLITS

Result = dict[str, Any]


def chunk_folder(directory: Path, number: int) -> Path:
    return directory / CHUNKS / f"{number:04d}"


def chunk_is_done(directory: Path, number: int) -> bool:
    return (chunk_folder(directory, number) / CHUNK_RESULT).exists()


def require_rows(directory: Path, number: int) -> None:
    """Refuse to go on with a chunk that is done and has lost what was measured.

    Raises:
        InvalidValue: its `metrics.csv` is gone or empty.
    """
    path = chunk_folder(directory, number) / METRICS
    if not path.exists() or path.stat().st_size == 0:
        raise lost_history(path, max(result["steps"] for result in read_json(path.with_name(CHUNK_RESULT))))


def write_chunk(
    path: Path, replicas: Sequence[Replica], rows: ReplicaRows, ended: dict[int, dict[str, Any]], steps: int
) -> None:
    """Write a chunk's rows and each replica's result; the presence of the latter is what makes the chunk done."""
    rows.save()
    results = {replica.number: {**replica.identity, "status": "finished", "steps": steps} for replica in replicas}
    for (number, _), row in sorted(rows.table.rows.items()):
        results[number].update({name: value for name, value in row.items() if name not in COLUMNS})
    for number, ending in ended.items():
        results[number].update(ending)
    for result in results.values():
        if not all(math.isfinite(result.get(name, 0.0)) for name in ("train/loss", "test/loss")):
            result["status"] = "diverged"  # at the last minibatch that was looked at, or in the last update
    write_json(path / CHUNK_RESULT, [_plain(result) for result in results.values()])


def _plain(result: Result) -> Result:
    """JSON knows no NaN; a τ is a whole number, and no τ says so."""
    plain = finite_or_none(result)
    for split in TAU_SPLITS:
        if f"{split}/censored" in plain:
            plain[f"{split}/censored"] = bool(plain[f"{split}/censored"])
            tau = plain.get(f"{split}/tau")
            plain[f"{split}/tau"] = None if tau is None else int(tau)
    return plain


def gather_tables(directory: Path, chunks: int) -> list[Result]:
    """Write `metrics.csv` and `replicas.csv` from the chunks' files, and return the replicas' results."""
    folders = [chunk_folder(directory, number) for number in range(chunks)]
    results = [result for folder in folders for result in read_json(folder / CHUNK_RESULT)]  # in the grid's order
    names = sorted({name for result in results for name in result} - {*IDENTITY, "status", "steps"})
    numbers = ({name: int(value) if isinstance(value, bool) else value for name, value in r.items()} for r in results)
    write_rows(directory / REPLICAS, numbers, [*IDENTITY, "status", "steps", *names])
    _concatenate([folder / METRICS for folder in folders], directory / METRICS)
    return results


def _concatenate(parts: Sequence[Path], path: Path) -> None:
    """One table of several, whose columns need not be the same."""
    columns: dict[str, None] = dict.fromkeys(COLUMNS)
    for part in parts:
        with open(part, newline="", encoding="utf-8") as file:
            columns |= dict.fromkeys(next(csv.reader(file)))
    ordered = [*COLUMNS, *sorted(set(columns) - {*COLUMNS})]
    write_rows(path, chain.from_iterable(map(_texts, parts)), ordered)


def _texts(path: Path) -> Iterator[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def summarize(results: Sequence[Result]) -> list[Result]:
    """For each initialization and learning rate: how many replicas, how they ended, means of what they measured.

    Diverged replicas are counted and in no mean of a loss or accuracy; a mean τ is that of the replicas that have one,
    beside the number of those that do not. A metric that is infinite for a replica, such as the condition number of a
    singular kernel, has no mean; one that was measured in some replicas only says in how many.
    """
    groups: dict[tuple[str, float], list[Result]] = {}
    for result in results:
        groups.setdefault((result["init"], result["learning_rate"]), []).append(result)
    return [_group(init, rate, members) for (init, rate), members in groups.items()]


def _group(init: str, rate: float, members: Sequence[Result]) -> Result:
    group: Result = {"init": init, "learning_rate": rate, "replicas": len(members)}
    group["diverged"] = sum(member["status"] == "diverged" for member in members)
    for split in TAU_SPLITS:
        if any(f"{split}/censored" in member for member in members):
            taus = [member[f"{split}/tau"] for member in members if member.get(f"{split}/tau") is not None]
            group[f"{split}/tau"] = {**_mean(taus), "uncensored": len(taus), "censored": len(members) - len(taus)}
    skipped = {f"{split}/{name}" for split in TAU_SPLITS for name in ("tau", "censored")}
    skipped |= {*IDENTITY, "status", "steps"}
    for name in sorted({name for member in members for name in member} - skipped):
        values = [member[name] for member in members if name in member and member["status"] != "diverged"]
        group[name] = _mean([math.inf if value is None else value for value in values])  # no mean where one has none
        if len(values) < group["replicas"] - group["diverged"]:  # as with ensemble.kernels=1
            group[name]["replicas"] = len(values)
    return group


def _mean(values: Sequence[float]) -> dict[str, float | None]:
    """The mean and its standard error, where there are enough values for them and they are not about to overflow."""
    with np.errstate(over="ignore", invalid="ignore"):
        mean = float(np.mean(values)) if len(values) > 0 else math.nan
        error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return finite_or_none({"mean": mean, "standard_error": error})


def write_ensemble_summary(directory: Path, results: Sequence[Result], plan: dict[str, Any], seconds: float) -> None:
    """Write `summary.json`; its presence is what makes the run a finished one."""
    summary = {
        "status": "finished",
        "replicas": len(results),
        "diverged": sum(result["status"] == "diverged" for result in results),
        "plan": plan,
        "groups": summarize(results),
        "results": list(results),
        "metrics": {"time/total": round(seconds, 3)},
    }
    write_json(directory / SUMMARY, summary)
