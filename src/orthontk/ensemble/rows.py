"""The rows of `metrics.csv` of an ensemble: one for each step and replica."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger

from orthontk.csv_rows import read_rows
from orthontk.ensemble.replicas import COLUMNS, IDENTITY, Replica
from orthontk.growing_table import GrowingTable
from orthontk.run.directory import lost_history

SHARE_OF_TIME = 0.02  # that writing may take, between checkpoints


class ReplicaRows(Logger):
    """Collects what is logged for the replicas of a chunk. The file is always replaced whole.

    Args:
        path: of the file.
        first_step: the step that training starts from; rows after it, left by a killed run, are dropped.

    Raises:
        InvalidValue: the file is gone, with the rows before `first_step`.
    """

    def __init__(self, path: Path, replicas: Sequence[Replica], first_step: int = 0) -> None:
        super().__init__()
        self.table = GrowingTable(path, COLUMNS)  # whose keys are (a replica's number, a step)
        numbers = {tuple(replica.identity.values()): replica.number for replica in replicas}
        if first_step > 0 and not path.exists():
            raise lost_history(path, first_step)
        for row in read_rows(path) if first_step > 0 else ():
            if row["step"] <= first_step:
                self.table.add((numbers[tuple(row[name] for name in IDENTITY)], row["step"]), row)
        self.next_write = time.monotonic() + 5

    @property
    def name(self) -> str:
        return "rows"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run directory has its config.yaml."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Nothing: whatever is measured is measured for a replica."""

    def log_replicas(self, name: str, values: Sequence[float], step: int, replicas: Sequence[Replica]) -> None:
        for value, replica in zip(values, replicas, strict=True):
            key = replica.number, step
            if key not in self.table.rows:
                self.table.add(key, {"step": step, **replica.identity})
            self.table.add(key, {name: value})
        if time.monotonic() > self.next_write:
            self.save()

    def save(self) -> None:
        start = time.monotonic()
        self.table.write()
        self.next_write = time.monotonic() + max(5, (time.monotonic() - start) / SHARE_OF_TIME)

    def finalize(self, status: str) -> None:
        """Nothing: a chunk's rows are written with its checkpoints and at its end."""
