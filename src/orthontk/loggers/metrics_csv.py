"""`metrics.csv`: one row a step, in order, whatever was interrupted in between."""

import time
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from orthontk.csv_rows import read_metrics
from orthontk.growing_table import GrowingTable
from orthontk.run.directory import METRICS, lost_history

SECONDS_BETWEEN_WRITES = 5.0


class MetricsCSV(Logger):
    """Merges everything logged for a step into one row. The file is always replaced whole.

    Args:
        run_directory: where `metrics.csv` goes.
        first_step: the step that training starts from; rows after it, left by a killed run, are dropped, since that
            part is computed again.
        origin: the directory of the run that has the rows before it; None: this one.

    Raises:
        InvalidValue: the file is gone, with the rows before `first_step`.
    """

    def __init__(self, run_directory: str | Path, first_step: int = 0, origin: Path | None = None) -> None:
        super().__init__()
        self.table = GrowingTable(Path(run_directory) / METRICS, ["step"])
        before = Path(origin or run_directory) / METRICS
        if first_step > 0 and not before.exists():
            raise lost_history(before, first_step)
        for row in read_metrics(before) if first_step > 0 else ():
            if row["step"] <= first_step:
                self.table.add(row["step"], row)
        self.last_write = time.monotonic()

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run directory has its config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.table.add(step or 0, {"step": step or 0, **metrics})
        if time.monotonic() - self.last_write > SECONDS_BETWEEN_WRITES:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        self.table.write()
        self.last_write = time.monotonic()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
