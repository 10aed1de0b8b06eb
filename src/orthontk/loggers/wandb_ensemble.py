"""An ensemble in one W&B run: means with bands as its history, and every replica's curve as line series."""

import hashlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from orthontk.ensemble.bands import Curves, band, read_curves
from orthontk.loggers.tau_summary import by_kind, kind_suffix
from orthontk.splits import TAU_SPLITS

LONGEST_NAME = 128  # characters that W&B allows the name of an artifact, such as a table
MOST_ROWS = 10_000  # of a table, more of which W&B does not draw


def log_ensemble(run: Any, metrics: Path, replicas: Path) -> None:
    """Log the two tables of an ensemble's directory to the W&B run `run`.

    - history: `<metric>/<init>/lr<rate>/{mean,lower,upper}` at every step; of an ensemble of seeds alone `<metric>`,
      the mean, and `<metric>/{lower,upper}`, so that it stands beside single runs. A mean is over the replicas that
      are left at a step: `train/replicas` says how many, for the training loss;
    - `replicas/<metric>/<init>/lr<rate>`: the curves of all seeds, thinned evenly to at most 10,000 points;
    - `learning_speed/<split>`: mean τ against the learning rate, a line for each initialization, where there are any;
    - an artifact with `metrics.csv` and `replicas.csv`, which hold every number.
    """
    import wandb

    curves = read_curves(metrics)
    replicas_of = by_kind(replicas)
    history: dict[int, dict[str, float]] = defaultdict(dict)
    for name, kinds in curves.items():
        for kind, seeds in kinds.items():
            place = name + kind_suffix(kind, len(replicas_of))
            for point in band(seeds):
                history[point.step] |= {
                    place if place == name else f"{place}/mean": point.mean,
                    f"{place}/lower": point.lower,
                    f"{place}/upper": point.upper,
                }
                if name == "train/loss":
                    history[point.step]["train/replicas" + kind_suffix(kind, len(replicas_of))] = point.replicas
    for step in sorted(history):
        run.log(history[step], step=step)
    for name, kinds in curves.items():
        for kind, seeds in kinds.items():
            place = f"replicas/{name}{kind_suffix(kind, len(replicas_of))}"
            run.log({_fitting(place, run.id): line_series(name, seeds)})
    for split in TAU_SPLITS:
        if lines := _mean_taus(replicas_of, split):
            run.log({f"learning_speed/{split}": _tau_against_rate(lines, split)})
    tables = wandb.Artifact(f"ensemble-{run.id[-8:]}", type="ensemble")
    for path in (metrics, replicas):
        tables.add_file(str(path))
    run.log_artifact(tables)


def _fitting(place: str, run_id: str) -> str:
    """`place`, or where W&B would refuse the name of its table the beginning of it and a hash.

    >>> _fitting("replicas/train/loss", "run7"), _fitting("replicas/" + 100 * "x", 70 * "i")
    ('replicas/train/loss', 'replicas/xxxxxxxxxxxxxxxxxxxxxx-87afaa3a')
    """
    room = LONGEST_NAME - len(f"run-{run_id}-_table-123456")  # what W&B puts around it
    digest = hashlib.sha256(place.encode()).hexdigest()[:8]
    return place if len(place) <= room else f"{place[: room - 9]}-{digest}"


def line_series(name: str, curves: Curves) -> Any:
    """The curves of all seeds as a chart, thinned evenly to a table of at most `MOST_ROWS` rows."""
    import wandb

    lengths = [len(curve) for curve in curves.values()]
    thinnings = range(1, max(lengths) + 1)  # the last leaves one point of each
    fits = (by for by in thinnings if sum(-(-length // by) for length in lengths) <= MOST_ROWS)
    thinning = next(fits, thinnings[-1])
    steps = [sorted(curve)[::thinning] for curve in curves.values()]
    values = [[curve[step] for step in chosen] for curve, chosen in zip(curves.values(), steps, strict=True)]
    return wandb.plot.line_series(steps, values, keys=[f"seed {seed}" for seed in curves], title=name, xname="step")


def _mean_taus(replicas_of: dict[tuple[str, float], list[dict[str, Any]]], split: str) -> dict[str, dict[float, float]]:
    """By initialization and learning rate, over the replicas that have a τ."""
    lines: dict[str, dict[float, float]] = defaultdict(dict)
    for (init, rate), rows in sorted(replicas_of.items()):
        taus = [row[f"{split}/tau"] for row in rows if f"{split}/tau" in row]
        if taus:
            lines[init][rate] = sum(taus) / len(taus)
    return lines


def _tau_against_rate(lines: dict[str, dict[float, float]], split: str) -> Any:
    import wandb

    rates, taus = [list(line) for line in lines.values()], [list(line.values()) for line in lines.values()]
    title = f"mean τ ({split}) of the trainings that have one"
    return wandb.plot.line_series(rates, taus, keys=list(lines), title=title, xname="learning rate")
