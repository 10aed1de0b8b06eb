"""Which initializations are compared with which, and seed by seed."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

BASELINE = "gaussian"


def others(table: pd.DataFrame) -> list[str]:
    """The initializations to be compared with Gaussian weights, where the table has both."""
    inits = sorted(table.init.unique())
    return [init for init in inits if init != BASELINE] if BASELINE in inits else []


def paired(table: pd.DataFrame, inits: Sequence[str], value: str) -> list[np.ndarray]:
    """`value` for each of the initializations, over the seeds that all of them have, in the same order."""
    columns = table.pivot_table(index="seed", columns="init", values=value, aggfunc="mean")
    columns = columns.reindex(columns=list(inits)).dropna()
    return [columns[init].to_numpy() for init in inits]
