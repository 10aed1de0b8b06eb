"""How far each layer's weights have moved, and whether they are still as orthogonal as they began."""

from collections.abc import Sequence

import pytorch_lightning as pl
from torch import Tensor

from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.kernels.measures import relative_change
from orthontk.networks import named_layers
from orthontk.training.metrics import log_metrics


class WeightDrift(ScheduledCallback):
    """Logs, for each layer, with W as a matrix (n_out, fan_in):

    - `weights/change/<layer>`: ‖W_t − W_0‖_F / ‖W_0‖_F;
    - `weights/isometry/<layer>`: ‖W_tᵀW_t − W_0ᵀW_0‖_F / ‖W_0ᵀW_0‖_F (with WWᵀ where that is the smaller matrix, for
      which the deviation from an isometry shows).
    """

    def __init__(self, steps: str | int | Sequence[int] = "log") -> None:
        super().__init__(steps)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        # Before a checkpoint is restored, so a resumed run measures from the same initial weights.
        self.initial = {name: layer.weight.detach().clone() for name, layer in named_layers(pl_module.network)}

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        metrics = {}
        for name, layer in named_layers(module.network):
            weight = layer.weight.detach().flatten(1).double()
            initial = self.initial[name].to(weight.device).flatten(1).double()
            metrics[f"weights/change/{name}"] = relative_change(weight, initial)
            metrics[f"weights/isometry/{name}"] = relative_change(_gram(weight), _gram(initial))
        log_metrics(trainer, metrics, step)


def _gram(weight: Tensor) -> Tensor:
    n_out, n_in = weight.shape
    return weight.mT @ weight if n_in <= n_out else weight @ weight.mT
