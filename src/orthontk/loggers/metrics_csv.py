"""`metrics.csv`: one row a step, in order, whatever was interrupted in between."""

import time
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from orthontk.csv_rows import Row, read_metrics, write_rows

SECONDS_BETWEEN_WRITES = 5.0


class MetricsCSV(Logger):
    """Merges everything logged for a step into one row. The file is always replaced whole.

    Args:
        run_directory: where `metrics.csv` goes.
        first_step: the step that training starts from; rows after it, left by a killed run, are dropped, since that
            part is computed again.
    """

    def __init__(self, run_directory: str | Path, first_step: int = 0) -> None:
        super().__init__()
        self.path = Path(run_directory) / "metrics.csv"
        rows = read_metrics(self.path) if self.path.exists() and first_step > 0 else []
        self.rows: dict[int, Row] = {int(row["step"]): row for row in rows if row["step"] <= first_step}
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
        self.rows.setdefault(step or 0, {"step": step or 0}).update(metrics)
        if time.monotonic() - self.last_write > SECONDS_BETWEEN_WRITES:
            self.save()

    @rank_zero_only
    def save(self) -> None:
        columns = ["step", *sorted({name for row in self.rows.values() for name in row} - {"step"})]
        write_rows(self.path, (self.rows[step] for step in sorted(self.rows)), columns)
        self.last_write = time.monotonic()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()
