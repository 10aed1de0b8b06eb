"""Measurements that grow a file of tensors, such as the kernels of a probe."""

from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from orthontk.callbacks.prediction_series import PredictionSeries
from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.kernels.kernel_series import KernelSeries


class RecordingCallback(ScheduledCallback):
    """Adds to `series` what it measures, and writes its file with every checkpoint and when training ends or breaks.

    The file is replaced whole, which takes as long as a small kernel does, and what is measured after a checkpoint is
    measured again by the run that resumes from it.
    """

    series: KernelSeries | PredictionSeries
    last_written: int | None = None

    def open_series(self, path: Path, probe: dict[str, Tensor], settings: dict[str, object]) -> KernelSeries:
        """A new series, or on resuming the one in the file up to where training goes on from."""
        if self.last_measured < 0 or not path.exists():
            return KernelSeries(path, probe, settings)
        series = KernelSeries.read(path)
        series.keep_until(self.last_measured)
        return series

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero and self.last_written != self.last_measured:
            self.series.write()
            self.last_written = self.last_measured

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict) -> None:
        self._write(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_fit_end(trainer, pl_module)
        self._write(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if hasattr(self, "series"):  # not where a resumed run fails before it has opened its file
            self._write(trainer)
