"""An ensemble in one W&B run: means with bands as its history, and every replica's curve as line series."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from orthontk.ensemble.bands import Curves, band, read_curves

MOST_ROWS = 10_000  # of a table, more of which W&B does not draw


def log_ensemble(run: Any, metrics: Path, replicas: Path) -> None:
    """Log the two tables of an ensemble's directory to the W&B run `run`.

    - history: `<metric>/<init>/lr<rate>/{mean,lower,upper}` at every step;
    - `replicas/<metric>/<init>/lr<rate>`: the curves of all seeds, thinned evenly to at most 10,000 points;
    - an artifact with `metrics.csv` and `replicas.csv`, which hold every number.
    """
    import wandb

    curves = read_curves(metrics)
    history: dict[int, dict[str, float]] = defaultdict(dict)
    for name, kinds in curves.items():
        for (init, rate), seeds in kinds.items():
            for point in band(seeds):
                place = f"{name}/{init}/lr{rate:g}"
                history[point.step] |= {
                    f"{place}/mean": point.mean,
                    f"{place}/lower": point.lower,
                    f"{place}/upper": point.upper,
                }
    for step in sorted(history):
        run.log(history[step], step=step)
    for name, kinds in curves.items():
        for (init, rate), seeds in kinds.items():
            run.log({f"replicas/{name}/{init}/lr{rate:g}": _line_series(name, seeds)})
    tables = wandb.Artifact(f"ensemble-{run.id[-8:]}", type="ensemble")
    for path in (metrics, replicas):
        tables.add_file(str(path))
    run.log_artifact(tables)


def _line_series(name: str, curves: Curves) -> Any:
    import wandb

    thinning = 1 + sum(map(len, curves.values())) // MOST_ROWS
    steps = [sorted(curve)[::thinning] for curve in curves.values()]
    values = [[curve[step] for step in chosen] for curve, chosen in zip(curves.values(), steps, strict=True)]
    return wandb.plot.line_series(steps, values, keys=[f"seed {seed}" for seed in curves], title=name, xname="step")
