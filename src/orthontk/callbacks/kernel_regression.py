"""What the kernels of a network alone can predict: ridge regression with the NTK and the NNGP."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import Tensor

from orthontk.callbacks import infinite_limit
from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.checks import InvalidValue, one_of
from orthontk.data import TensorDataModule
from orthontk.files import write_json
from orthontk.kernels import empirical_ntk
from orthontk.regression import kernel_regression
from orthontk.run.directory import KERNEL_REGRESSION
from orthontk.training.metrics import log_metrics
from orthontk.training.module import evaluating

KERNELS = ("infinite_ntk", "nngp", "empirical_ntk")
LARGEST = 20_000  # training inputs: a kernel in float64 then takes 3.2 GB, and its eigenvectors as much again

LOGGED = ("test_accuracy", "leave_one_out_accuracy", "leave_one_out_error", "ridge")


class KernelRegression(ScheduledCallback):
    """Fits the run's training labels with each kernel at initialization, and logs `regression/<kernel>/…`.

    One-hot targets, all training and test inputs of the run; the ridge has the least leave-one-out error. Writes
    `kernel_regression.json`, whose table ends the run. Of a kernel that is not finite all is NaN.

    Args:
        kernels: among infinite_ntk, nngp (both at infinite width) and empirical_ntk (this network's, averaged over
            outputs); null: all that the network has, but of `readout=pool` empirical_ntk alone, as those at infinite
            width may take hours.
    """

    def __init__(self, kernels: Sequence[str] | None = None) -> None:
        super().__init__([0])
        if kernels is not None and (isinstance(kernels, str) or not kernels):
            raise InvalidValue("kernels", kernels, "null, or a list from " + ", ".join(KERNELS))
        self.kernels = None if kernels is None else [one_of("kernels", kernel, KERNELS) for kernel in kernels]

    def check_data(self, data: TensorDataModule) -> None:
        if data.classes == 1:
            raise InvalidValue("kernels", self.kernels, "data of several classes, as one has no accuracy")
        if len(data.train) > LARGEST:
            accepted = f"{LARGEST} training inputs at most (data.train_size), not {len(data.train)}"
            raise InvalidValue("kernels", self.kernels, accepted)

    def check_module(self, module: pl.LightningModule) -> None:
        """Refuse a kernel that the network does not have, and one whose computation would take hours."""
        has_limit = infinite_limit.has_infinite_kernels(module)
        if self.kernels is None:
            known = has_limit and infinite_limit.is_quick(module)
            self.kernels = [kernel for kernel in KERNELS if known or kernel == "empirical_ntk"]
        if not has_limit and set(self.kernels) - {"empirical_ntk"}:
            raise InvalidValue("kernels", self.kernels, "[empirical_ntk]: no limit of this network is known")

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        train, test = trainer.datamodule.train, trainer.datamodule.test
        targets = F.one_hot(train.labels, max(trainer.datamodule.classes, 2)).cpu()
        results, metrics = {}, {}
        infinite: dict[str, tuple[Tensor, Tensor]] = {}
        for name in self.kernels:
            start = time.perf_counter()
            if name == "empirical_ntk":
                kernel, test_kernel = _empirical(module, train.images, test.images)
            else:
                infinite = infinite or _infinite(module, train.images, test.images)
                kernel, test_kernel = infinite[name]
            results[name] = fit_kernel(kernel.cpu(), targets, test_kernel.cpu(), test.labels.cpu())
            metrics |= {f"regression/{name}/{key}": value for key, value in results[name].items()}
            metrics[f"time/regression/{name}"] = time.perf_counter() - start
        log_metrics(trainer, metrics, step)
        if trainer.is_global_zero:
            sizes = {"train_inputs": len(train), "test_inputs": len(test)}
            write_json(Path(trainer.default_root_dir) / KERNEL_REGRESSION, {**sizes, "kernels": results})


def _empirical(module: pl.LightningModule, train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    with evaluating(module.network):
        kernels = [empirical_ntk(module.network, *inputs, outputs="trace") for inputs in ((train,), (test, train))]
    return kernels[0], kernels[1]


def _infinite(module: pl.LightningModule, train: Tensor, test: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    kernels = infinite_limit.kernels_of_limit(module, train)
    test_kernels = infinite_limit.kernels_of_limit(module, test, train)
    return {"infinite_ntk": (kernels.ntk, test_kernels.ntk), "nngp": (kernels.nngp, test_kernels.nngp)}


def fit_kernel(kernel: Tensor, targets: Tensor, test_kernel: Tensor, labels: Tensor) -> dict[str, float]:
    """What is logged of a fit to targets (N, classes), tested on labels (M,); all NaN if a kernel is not finite."""
    if not (kernel.isfinite().all() and test_kernel.isfinite().all()):
        return dict.fromkeys(LOGGED, math.nan)
    fit = kernel_regression(kernel, targets, test_kernel)
    accuracy = (fit.predictions.argmax(1) == labels).double().mean().item()
    values = accuracy, fit.leave_one_out_accuracy, fit.leave_one_out.min().item(), fit.ridge
    return dict(zip(LOGGED, values, strict=True))
