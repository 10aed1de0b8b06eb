"""Measurements that grow a file of tensors, such as the kernels of a probe."""

from collections.abc import Collection
from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from orthontk.callbacks.prediction_series import PredictionSeries
from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.run.directory import lost_history


class RecordingCallback(ScheduledCallback):
    """Adds to `series` what it measures, and writes its file with every checkpoint and when training ends or breaks.

    The file is replaced whole, which takes as long as a small kernel does, and what is measured after a checkpoint is
    measured again by the run that resumes from it.

    Attributes:
        file: its name, in the run's directory.
    """

    file: str
    series: KernelSeries | PredictionSeries
    last_written: int | None = None
    last_recorded = -1  # the last step that the series has: of a network that diverges it is given none

    def open_series(self, path: Path, probe: dict[str, Tensor], settings: dict[str, object]) -> KernelSeries:
        """A new series, or on resuming the one in the file up to where training goes on from.

        Raises:
            InvalidValue: the file is gone, or not the one that belongs to the checkpoint.
        """
        series = KernelSeries(path, probe, settings)
        if self.last_recorded >= 0:
            series = KernelSeries.read(path) if path.exists() else series
            self.require_recorded(path, series.steps)
            series.keep_until(self.last_measured)
        return series

    def require_recorded(self, path: Path, steps: Collection[int]) -> None:
        """Refuse to go on without what was recorded before the checkpoint, given the `steps` in the file."""
        if self.last_recorded >= 0 and self.last_recorded not in steps:
            raise lost_history(path, self.last_recorded)

    def require_file(self, directory: Path) -> None:
        """Refuse to go on without the file of a replica that has ended before the checkpoint."""
        if self.last_recorded >= 0 and not (directory / self.file).exists():
            raise lost_history(directory / self.file, self.last_recorded)

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero and self.last_written != self.last_measured:
            self.series.write()
            self.last_written = self.last_measured

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        self._write(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_fit_end(trainer, pl_module)
        self._write(trainer)

    def state_dict(self) -> dict[str, int]:
        return {**super().state_dict(), "last_recorded": self.last_recorded}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        super().load_state_dict(state_dict)
        # Checkpoints of before this was kept: only a network that had diverged was measured and not recorded.
        self.last_recorded = state_dict.get("last_recorded", self.last_measured)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if hasattr(self, "series"):  # not where a resumed run fails before it has opened its file
            self._write(trainer)
