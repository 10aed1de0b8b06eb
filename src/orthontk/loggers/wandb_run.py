"""One W&B run for one run directory, however often it was interrupted."""

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from orthontk.checks import one_of
from orthontk.kernels import measures
from orthontk.loggers.metrics_csv import read_metrics


class WandbRun(Logger):
    """Scalars, configuration, and kernels as heatmaps and spectra.

    The run's id is the run directory's name, so a resumed run is the same W&B run. Offline, W&B would start a second
    directory for it; instead its history is written again from the run's own files and the first part removed, so each
    step is there once.

    Args:
        run_directory: holds `wandb/`, and the `config.yaml` that W&B shows as the run's configuration.
        first_step: the step that training starts from.
        project, entity, group, tags: as in `wandb.init`.
        mode: "offline" needs neither account nor network; "online".
    """

    def __init__(
        self,
        run_directory: str | Path,
        first_step: int = 0,
        project: str = "orthontk",
        mode: str = "offline",
        entity: str | None = None,
        group: str | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.run_directory, self.first_step = Path(run_directory), first_step
        self.settings = {
            "project": project,
            "mode": one_of("mode", mode, ("offline", "online")),
            "entity": entity,
            "group": group,
            "tags": list(tags),
            "name": self.run_directory.name,
            "dir": str(self.run_directory),
        }
        self._run: Any = None

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        """The run's id, unique to its directory's name and W&B's 64 characters."""
        return self.run_directory.name[-64:]

    @property
    @rank_zero_only
    def experiment(self) -> Any:
        """The `wandb` run, started at its first use (importing W&B takes a second)."""
        if self._run is None:
            import wandb

            earlier = list(self.run_directory.glob("wandb/offline-run-*"))
            self._run = wandb.init(
                **self.settings,
                config=self._run_config(),
                id=self.version,
                resume="allow" if self.settings["mode"] == "online" else None,
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
            )
            if self.settings["mode"] == "offline" and earlier:
                self._replay()
                for directory in earlier:
                    shutil.rmtree(directory)
        return self._run

    def _run_config(self) -> dict[str, Any] | None:
        path = self.run_directory / "config.yaml"
        return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None

    def _replay(self) -> None:
        """Log again what the run's own files hold from before `first_step`."""
        from orthontk.callbacks.kernel_series import KernelSeries

        metrics, kernels = self.run_directory / "metrics.csv", self.run_directory / "ntk.safetensors"
        rows = {row["step"]: row for row in read_metrics(metrics)} if metrics.exists() else {}
        series = KernelSeries.read(kernels) if kernels.exists() else None
        stored = dict(zip(series.steps, series.kernels, strict=True)) if series else {}
        for step in sorted(rows.keys() | stored.keys()):
            if step <= self.first_step and self.first_step > 0:
                if step in stored:
                    self._run.log(_kernel_media(stored[step]), step=int(step))
                self._run.log({k: v for k, v in rows.get(step, {}).items() if k != "step"}, step=int(step))

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration is handed over when the run starts."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.experiment.log(dict(metrics), step=step)

    @rank_zero_only
    def log_kernel(self, theta: Tensor, step: int) -> None:
        """The kernel of a probe as a heatmap, and its spectrum as a histogram of log₁₀ eigenvalues."""
        self.experiment.log(_kernel_media(theta), step=step)

    @rank_zero_only
    def log_ensemble(self, metrics: Path, replicas: Path) -> None:
        """The tables of an ensemble's directory; see `orthontk.loggers.wandb_ensemble`."""
        from orthontk.loggers.wandb_ensemble import log_ensemble

        for earlier in self.run_directory.glob("wandb/offline-run-*"):  # of a run that was killed while it logged
            shutil.rmtree(earlier)
        log_ensemble(self.experiment, metrics, replicas)

    @rank_zero_only
    def finish(self, failed: bool = False) -> None:
        """End the W&B run, so that the next job of a multirun starts its own."""
        if self._run is not None:
            self._run.finish(exit_code=int(failed))
            self._run = None


def _kernel_media(theta: Tensor) -> dict[str, Any]:
    import wandb

    heatmap = measures.mean_over_outputs(theta).double()
    heatmap = (255 * (heatmap - heatmap.min()) / (heatmap.max() - heatmap.min()).clamp_min(1e-300)).to(torch.uint8)
    eigenvalues = measures.eigenvalues(theta).clamp_min(1e-300).log10()
    return {
        "ntk/heatmap": wandb.Image(heatmap.cpu().numpy()),
        "ntk/log10_eigenvalues": wandb.Histogram(eigenvalues.cpu().numpy()),
    }
