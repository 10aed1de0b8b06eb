"""The empirical NTK on a fixed probe, at checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import Tensor

from orthontk.callbacks import infinite_limit
from orthontk.callbacks.recording import RecordingCallback
from orthontk.checks import InvalidValue, boolean, integer, one_of
from orthontk.data import TensorDataModule
from orthontk.kernels import measures, ntk_and_layer_shares
from orthontk.kernels.grid import DEFAULT_MEMORY_LIMIT
from orthontk.kernels.outputs import outputs_of
from orthontk.kernels.problem import OUTPUTS
from orthontk.run.directory import KERNELS
from orthontk.training.metrics import log_computed
from orthontk.training.module import evaluating

METRICS = ("ntk/change", "ntk/alignment", "ntk/top_eigenvalue", "ntk/condition_number", "ntk/effective_rank")
OFFDIAGONAL = "ntk/offdiagonal"  # of a kernel with all pairs of outputs alone


class NTKRecorder(RecordingCallback):
    """Computes Θ_t on a class-balanced probe, logs `ntk/*` and writes `ntk.safetensors` in the run directory.

    Θ_t is that of the network in evaluation mode: no Dropout, and BatchNorm by its running statistics. Training is
    untouched: no random number is drawn and no gradient, mode or buffer of the network changes.

    Args:
        probe_size: N, inputs of the probe, drawn by the data's seed.
        split: the set they are drawn from: train, val or test.
        outputs: full, trace or sum_of_logits, as in `empirical_ntk`.
        steps: see `measured_steps`.
        memory_limit: bytes that the computation may use; None: the kernel's fixed default.
        infinite: whether to log the distance to the kernel of infinite width, which is computed once and kept in the
            file as `probe/infinite`; seconds for an FCN, a minute or more for a CNN.
    """

    file = KERNELS

    def __init__(
        self,
        probe_size: int = 40,
        split: str = "train",
        outputs: str = "full",
        steps: str | int | Sequence[int] = "log",
        memory_limit: int | None = None,
        infinite: bool = False,
    ) -> None:
        super().__init__(steps)
        self.probe_size = integer("probe_size", probe_size)
        self.split = one_of("split", split, ("train", "val", "test"))
        self.outputs = one_of("outputs", outputs, OUTPUTS)
        self.memory_limit = DEFAULT_MEMORY_LIMIT if memory_limit is None else integer("memory_limit", memory_limit)
        self.infinite = boolean("infinite", infinite)

    def check_data(self, data: TensorDataModule) -> None:
        """Refuse a probe that `data` cannot give, before anything is trained."""
        data.probe(self.probe_size, self.split)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        x, y, indices = trainer.datamodule.probe(self.probe_size, self.split)
        parameter = next(pl_module.network.parameters())
        self.x, self.y = x.to(pl_module.device, parameter.dtype), y
        path = Path(trainer.default_root_dir) / self.file
        settings = {"outputs": self.outputs, "split": self.split, "memory_limit": self.memory_limit}
        self.series = self.open_series(path, {"indices": indices, "labels": y}, settings)
        self.memory_limit = self.series.settings["memory_limit"]  # on resuming, another would change the last bits
        if self.infinite and "infinite" not in self.series.probe:
            self.series.probe["infinite"] = self.limit_of(pl_module, self.x)

    def limit_of(self, module: pl.LightningModule, x: Tensor) -> Tensor:
        """The kernel of infinite width on the probe; replicas of an ensemble share what they can of it."""
        return infinite_limit.kernels_of_limit(module, x).ntk

    def check_module(self, module: pl.LightningModule) -> None:
        """Refuse to compare a network with a limit that it does not have."""
        if self.infinite and not infinite_limit.has_infinite_kernels(module):
            raise InvalidValue("infinite", self.infinite, "false: no limit of this network is known")

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        start = time.perf_counter()
        with evaluating(module.network):
            diverged = not outputs_of(module.network, self.x).isfinite().all()
            metrics_of_kernel = self._not_a_number if diverged else self._record(trainer, module, step)
        seconds = time.perf_counter() - start

        def compute() -> dict[str, float]:
            start = time.perf_counter()
            metrics = metrics_of_kernel()
            return metrics | {"time/ntk": seconds + time.perf_counter() - start}

        log_computed(trainer, compute, step)

    def _record(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> Callable[[], dict[str, float]]:
        """Compute Θ_t and write it; what is returned computes its metrics.

        Every process takes part and holds the whole kernel.
        """
        try:
            theta, shares = ntk_and_layer_shares(
                module.network, self.x, outputs=self.outputs, memory_limit=self.memory_limit
            )
        except InvalidValue as error:  # such as a memory limit too small for one pair of inputs
            raise error.within("callbacks.ntk") from error
        if not theta.isfinite().all():  # a kernel overflows before the outputs do
            return self._not_a_number
        self.series.add(step, theta)
        self.last_recorded = step
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                if hasattr(logger, "log_kernel"):
                    logger.log_kernel(theta, step)
        return partial(self._metrics, theta, shares)

    def _metrics(self, theta: Tensor, shares: dict[str, float]) -> dict[str, float]:
        initial = self.series.kernels[0].to(theta)
        metrics = kernel_metrics(theta, initial, self.y.to(theta.device))
        metrics |= {f"ntk/share/{layer}": share for layer, share in shares.items()}
        if "infinite" in self.series.probe:
            metrics["ntk/distance_to_infinite"] = infinite_limit.distance(theta, self.series.probe["infinite"])
        return metrics

    def _not_a_number(self) -> dict[str, float]:
        """The metrics of a network that has diverged."""
        return dict.fromkeys((*METRICS, OFFDIAGONAL) if self.outputs == "full" else METRICS, math.nan)


def kernel_metrics(theta: Tensor, initial: Tensor, labels: Tensor) -> dict[str, float]:
    """`ntk/*`, as docs/mathematics.md lists them, for Θ_t, given Θ_0 and the probe's labels (N,)."""
    spectrum = measures.eigenvalues(theta)
    several = len(labels.unique()) > 1  # a single class leaves nothing to be aligned with
    return {
        "ntk/change": measures.relative_change(theta, initial),
        **({"ntk/alignment": measures.alignment(theta, F.one_hot(labels))} if several else {}),
        "ntk/top_eigenvalue": spectrum[-1].item(),
        "ntk/condition_number": measures.condition_number(spectrum, theta),
        "ntk/effective_rank": measures.effective_rank(spectrum),
        **({OFFDIAGONAL: measures.offdiagonal(theta)} if theta.dim() == 4 else {}),
    }
