"""One W&B run for one run directory, however often it was interrupted."""

import hashlib
import math
import os
import shutil
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from orthontk.checks import one_of
from orthontk.csv_rows import read_metrics
from orthontk.identity import as_file_name, name_without_seed
from orthontk.kernels import measures
from orthontk.loggers.tau_summary import tau_summary
from orthontk.loggers.wandb_ensemble import log_ensemble
from orthontk.loggers.wandb_start import start_run
from orthontk.run.directory import CONFIG, KERNELS, METRICS, REPLICAS

RUN_ID, SWEEP_ID = "WANDB_RUN_ID", "WANDB_SWEEP_ID"  # what `wandb agent` tells the process of a run
# W&B's job types, by which reports choose runs: one initialization and learning rate, or several.
TRAINING, ENSEMBLE = "training", "ensemble"
ALL_BUT_SEED = "all_but_seed"  # the key by which reports know runs that may be averaged


class WandbRun(Logger):
    """Scalars, configuration, and kernels as heatmaps and spectra.

    The run's id is made of its directory's path, so a resumed run is the same W&B run. Offline, W&B would start a
    second directory for it; instead its history is written again from the run's own files and the first part removed,
    so each step is there once. Online, the steps are written that W&B does not have, such as those of a run that this
    one continues, or those that were made with another logger. There an id in WANDB_RUN_ID wins over that one, and an
    agent's sweep over project and entity.

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
            "mode": one_of("mode", mode, ("offline", "online")),
            "group": group,
            "tags": list(tags),
            "name": self.run_directory.name,
            "dir": str(self.run_directory),
        }
        self.is_online = mode == "online"
        self.project, self.entity = project, entity
        self._run: Any = None

    @property
    def name(self) -> str:
        return "wandb"

    @property
    def version(self) -> str:
        """The run's id: an agent's, or that which the directory's run was begun with, or one made of its path.

        Short, since W&B begins the names of tables with it, and allows these 128 characters: the end of the directory's
        name, which directories elsewhere may share, and a digest of the whole path.
        """
        if self.is_online and os.environ.get(RUN_ID):
            return os.environ[RUN_ID]
        path = self.run_directory.resolve()
        end = as_file_name(path.name[-15:]).lstrip("-")  # W&B takes no id with a colon or a comma, among others
        recorded = (folder.name.removeprefix("offline-") for folder in path.glob("wandb/*run-*-*"))
        ids = (name.split("-", 2)[-1] for name in sorted(recorded))  # run-<time>-<id>
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        own = (one for one in ids if as_file_name(one).startswith(f"{end}-") or one == path.name[-24:])  # or an agent's
        return next(own, f"{end}-{digest}")

    def _place(self) -> dict[str, str | None]:
        """Project, entity and id. In a sweep W&B takes the agent's, and would warn of any others."""
        if self.is_online and SWEEP_ID in os.environ:
            return {}
        return {"project": self.project, "entity": self.entity, "id": self.version}

    @property
    @rank_zero_only
    def experiment(self) -> Any:
        """The `wandb` run, started at its first use (importing W&B takes a second)."""
        if self._run is None:
            import wandb

            earlier = list(self.run_directory.glob("wandb/offline-run-*"))
            config = self.run_config()
            self._run = start_run(
                **self.settings,
                **self._place(),
                config=config,
                job_type=_job_type(config or {}),
                resume="allow" if self.is_online else None,
                settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
            )
            if self.first_step > 0:
                self._replay(self._run.starting_step, self.first_step)
            if not self.is_online:
                for directory in earlier:
                    shutil.rmtree(directory)
        return self._run

    def run_config(self) -> dict[str, Any] | None:
        """The configuration that W&B shows: the run's, and a name that only seeds share."""
        path = self.run_directory / CONFIG
        if not path.exists():
            return None
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {**config, ALL_BUT_SEED: name_without_seed(config)}

    def _replay(self, first: int = 0, last: float = math.inf) -> None:
        """Log again what the run's own files hold of these steps."""
        from orthontk.kernels.kernel_series import KernelSeries

        metrics, kernels = self.run_directory / METRICS, self.run_directory / KERNELS
        rows = {row["step"]: row for row in read_metrics(metrics)} if metrics.exists() else {}
        series = KernelSeries.read(kernels) if kernels.exists() else None
        stored = dict(zip(series.steps, series.kernels, strict=True)) if series else {}
        for step in sorted(rows.keys() | stored.keys()):
            if first <= step <= last:
                if step in stored:
                    self.experiment.log(kernel_media(stored[step]), step=int(step))
                self.experiment.log({k: v for k, v in rows.get(step, {}).items() if k != "step"}, step=int(step))

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the configuration is handed over when the run starts."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.experiment.log(dict(metrics), step=step)

    @rank_zero_only
    def log_kernel(self, theta: Tensor, step: int) -> None:
        """The kernel of a probe as a heatmap, and its spectrum as a histogram of log₁₀ eigenvalues."""
        self.experiment.log(kernel_media(theta), step=step)

    @rank_zero_only
    def log_ensemble(self, metrics: Path, replicas: Path) -> None:
        """The tables of an ensemble's directory; see `orthontk.loggers.wandb_ensemble`."""
        for earlier in self.run_directory.glob("wandb/offline-run-*"):  # of a run that was killed while it logged
            shutil.rmtree(earlier)
        log_ensemble(self.experiment, metrics, replicas)

    @rank_zero_only
    def log_finished(self) -> None:
        """Give an agent's run what a finished run directory holds: its sweep asked for settings that have been run.

        Otherwise that run would have no metrics. One that this directory has reported to is left as it is.
        """
        if self.is_online and not self._has_reported():
            self.log_directory()

    @rank_zero_only
    def log_directory(self) -> None:
        """Log a finished run from its own files, and end it."""
        metrics, replicas = self.run_directory / METRICS, self.run_directory / REPLICAS
        if replicas.exists():
            log_ensemble(self.experiment, metrics, replicas)
        else:
            self._replay()
        self.finish()

    def _has_reported(self) -> bool:
        """Whether an earlier process of this run directory was online under the same id."""
        return any(self.run_directory.glob(f"wandb/run-*-{self.version}"))

    @rank_zero_only
    def finish(self, failed: bool = False) -> None:
        """End the W&B run, so that the next job of a multirun starts its own."""
        if self._run is not None:
            if not failed:
                self._run.summary.update(tau_summary(self.run_directory))
            self._run.finish(exit_code=int(failed))
            self._run = None


def _job_type(config: dict[str, Any]) -> str:
    axes = config.get("ensemble") or {}
    kinds = len(axes.get("inits") or [None]) * len(axes.get("learning_rates") or [None])
    return TRAINING if kinds == 1 else ENSEMBLE


def kernel_media(theta: Tensor) -> dict[str, Any]:
    """A kernel (N, N) or (N, N, O, O) as a heatmap, and its eigenvalues down to their rounding as a histogram."""
    import wandb

    heatmap = measures.mean_over_outputs(theta).double()
    heatmap = (255 * (heatmap - heatmap.min()) / (heatmap.max() - heatmap.min()).clamp_min(1e-300)).to(torch.uint8)
    spectrum = measures.eigenvalues(theta)
    smallest = max(measures.rounding(spectrum, theta), 1e-300)  # of a kernel of zeros
    eigenvalues = spectrum.clamp_min(smallest).log10()
    return {
        "ntk/heatmap": wandb.Image(heatmap.cpu().numpy()),
        "ntk/log10_eigenvalues": wandb.Histogram(eigenvalues.cpu().numpy()),
    }
