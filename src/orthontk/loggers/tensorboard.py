"""TensorBoard, without the steps that a killed run had logged after its last checkpoint."""

from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment

from orthontk.checks import InvalidValue
from orthontk.csv_rows import read_metrics
from orthontk.run.directory import METRICS


def tensorboard_logger(run_directory: str | Path, first_step: int = 0) -> TensorBoardLogger:
    """Lightning's TensorBoardLogger, writing to `tensorboard/` in the run directory.

    Args:
        first_step: the step that training starts from.

    Raises:
        InvalidValue: TensorBoard is not installed.
    """
    try:
        return _Continued(Path(run_directory), first_step)
    except ModuleNotFoundError as error:
        raise InvalidValue("logger", "tensorboard", "pip install 'orthontk[tensorboard]' first") from error


class _Continued(TensorBoardLogger):
    def __init__(self, run_directory: Path, first_step: int) -> None:
        # TensorBoard drops that step too; what was measured at the one that is continued from is not measured again.
        purge_step = first_step + 1 if first_step > 0 else None
        super().__init__(run_directory, name="tensorboard", version="", purge_step=purge_step)
        self.metrics, self.first_step = run_directory / METRICS, first_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None and self.first_step > 0 and not any(Path(self.log_dir).glob("events.*")):
            self._replay()
        return super().experiment

    def _replay(self) -> None:
        """Log what was measured before, by another run that this one continues or with another logger."""
        super().experiment  # noqa: B018, begun, so that what is logged does not come back here
        for row in read_metrics(self.metrics) if self.metrics.exists() else ():
            if row["step"] <= self.first_step:
                self.log_metrics({name: value for name, value in row.items() if name != "step"}, int(row["step"]))
