"""Whether a network is near a dynamical isometry, at initialization and while it trains."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch

from orthontk.callbacks import infinite_limit
from orthontk.callbacks.recording import RecordingCallback
from orthontk.checks import InvalidValue, integer
from orthontk.data import TensorDataModule
from orthontk.inheritance import runs_as
from orthontk.meanfield import measured_spectrum, predicted_spectrum
from orthontk.networks import CNN, FCN
from orthontk.run.directory import JACOBIAN
from orthontk.training.metrics import log_metrics

LARGEST = 8000  # rows: in float32 the Jacobian then takes 256 MB, and its singular values minutes


class JacobianSpectrum(RecordingCallback):
    """Singular values σ of the Jacobian between the first and the last hidden pre-activations, on a few inputs.

    Logs `jacobian/mean_square` (mean of σ²) and `jacobian/relative_variance` (Var[σ²]/E[σ²]²), averaged over inputs,
    and at initialization what mean-field theory predicts of them, `jacobian/predicted_…`. Writes all singular values to
    `jacobian.safetensors`: `steps` (T,), `kernels` (T, inputs, M), descending.

    Args:
        inputs: training inputs, a class-balanced sample.
        steps: see `measured_steps`.
    """

    file = JACOBIAN

    def __init__(self, inputs: int = 5, steps: str | int | Sequence[int] = "log") -> None:
        super().__init__(steps)
        self.inputs = integer("inputs", inputs)

    def check_data(self, data: TensorDataModule) -> None:
        """Refuse more inputs than there are."""
        data.probe(self.inputs, name="inputs")

    def check_module(self, module: pl.LightningModule) -> None:
        """Refuse a network without such a Jacobian, and one whose Jacobian is too large."""
        if not runs_as(module.network, FCN, CNN) or len(module.network.layers) < 3:
            raise InvalidValue("inputs", self.inputs, "an FCN or CNN of at least three weight layers")
        rows = module.network.width * math.prod(getattr(module.network, "image_size", ()))
        if rows > LARGEST:
            accepted = f"a Jacobian of at most {LARGEST} rows, units of a layer, not {rows} (model.width, data.pool)"
            raise InvalidValue("inputs", self.inputs, accepted)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        x, _, indices = trainer.datamodule.probe(self.inputs)
        self.x = x.to(next(pl_module.network.parameters()))
        self.series = self.open_series(Path(trainer.default_root_dir) / self.file, {"indices": indices}, {})

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        spectra = [measured_spectrum(module.network, x) for x in self.x]
        metrics = _means("", [moments for _, moments in spectra])
        if step == 0 and infinite_limit.has_infinite_kernels(module):
            scheme = infinite_limit.init_scheme(module)
            metrics |= _means("predicted_", [predicted_spectrum(module.network, x, scheme) for x in self.x])
        self.series.add(step, torch.stack([values for values, _ in spectra]))
        self.last_recorded = step
        log_metrics(trainer, metrics, step)


def _means(prefix: str, moments: list) -> dict[str, float]:
    return {
        f"jacobian/{prefix}mean_square": sum(m.mean for m in moments) / len(moments),
        f"jacobian/{prefix}relative_variance": sum(m.relative_variance for m in moments) / len(moments),
    }
