"""One progress bar over the whole training; plain, rare lines where there is no terminal."""

import shutil
import sys
import time

import pytorch_lightning as pl
from tqdm import tqdm

BAR = "|{bar}| {n_fmt}/{total_fmt} steps, {remaining} left{postfix}"
LINE = "{percentage:3.0f}%, {n_fmt}/{total_fmt} steps, {rate_fmt}, {elapsed} passed, {remaining} left{postfix}"
NARROW = 100  # columns; below, the bar has no room for the validation accuracy
SHOWN = {"train/loss": "loss", "train/accuracy": "accuracy", "val/accuracy": "val", "ntk/change": "NTK change"}


class Progress(pl.callbacks.ProgressBar):
    """Steps done, time left, and the latest loss, accuracy and NTK change.

    Into a file or a SLURM log it writes a line a minute and one at the end instead of a bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enabled = True

    def disable(self) -> None:
        self.enabled = False

    def enable(self) -> None:
        self.enabled = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._open(total=trainer.max_steps, initial=trainer.global_step)

    def _open(self, total: int, initial: int) -> None:
        self.plain = not sys.stderr.isatty()
        self.interval = 60 if self.plain else 0.1
        self.next_update = 0.0
        self.bar = tqdm(
            total=total,
            initial=initial,
            unit="step",
            disable=not self.enabled,
            dynamic_ncols=not self.plain,
            bar_format=LINE if self.plain else BAR,
            delay=float("inf") if self.plain else 0,  # lines are printed here, tqdm draws nothing
            mininterval=0,
            miniters=1,
        )

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: object) -> None:
        now = time.monotonic()
        if self.enabled and now >= self.next_update:
            self.next_update = now + self.interval
            self._update(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.enabled:
            self._update(trainer)
        self.bar.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        if hasattr(self, "bar"):
            self.bar.close()

    def _update(self, trainer: pl.Trainer) -> None:
        metrics = trainer.callback_metrics
        narrow = not self.plain and shutil.get_terminal_size().columns < NARROW
        names = [name for name in SHOWN if name in metrics and not (narrow and name == "val/accuracy")]
        shown = ", ".join(f"{SHOWN[name]} {metrics[name]:.3g}" for name in names)
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update(self._done(trainer) - self.bar.n)
        if self.plain:
            print(self.bar, file=sys.stderr, flush=True)

    def _done(self, trainer: pl.Trainer) -> int:
        return trainer.global_step
