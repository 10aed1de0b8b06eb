"""Trainings one by one, whether each was a run of its own or a replica of an ensemble."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from orthontk.ensemble.replicas import IDENTITY
from orthontk.report.gather import Run

BASELINE = "gaussian"


def replica_rows(run: Run) -> Iterator[dict[str, Any]]:
    """The rows of `metrics.csv`, each with the settings, seed, initialization and learning rate it belongs to."""
    settings = run.settings() | {"learning_rate": run.get("optimizer.lr"), "normalize": run.get("data.normalize")}
    for row in run.rows:
        identity = {name: row[name] for name in IDENTITY if name in row}
        yield settings | identity | {name: value for name, value in row.items() if name not in IDENTITY}


def once(table: pd.DataFrame, identity: Sequence[str]) -> pd.DataFrame:
    """Each training once, though several runs or ensembles may have it."""
    return table.drop_duplicates(list(dict.fromkeys(identity)), keep="last", ignore_index=True)


def others(table: pd.DataFrame) -> list[str]:
    """The initializations to be compared with Gaussian weights, where the table has both."""
    inits = sorted(table.init.unique())
    return [init for init in inits if init != BASELINE] if BASELINE in inits else []


def paired(table: pd.DataFrame, inits: Sequence[str], value: str) -> list[np.ndarray]:
    """`value` for each of the initializations, over the seeds that all of them have, in the same order."""
    columns = table.pivot_table(index="seed", columns="init", values=value, aggfunc="mean")
    columns = columns.reindex(columns=list(inits)).dropna()
    return [columns[init].to_numpy() for init in inits]
