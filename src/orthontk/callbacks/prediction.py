"""Predicted beside actual training: lazy where the two agree."""

import copy
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch.nn.functional as F
from torch import Tensor, nn

from orthontk.callbacks import infinite_limit
from orthontk.callbacks.prediction_series import PredictionSeries
from orthontk.callbacks.recording import RecordingCallback
from orthontk.callbacks.schedule import measured_steps
from orthontk.checks import InvalidValue, integer, one_of
from orthontk.data import TensorDataModule
from orthontk.dynamics import CrossEntropyTraining, MSETraining
from orthontk.inheritance import runs_as
from orthontk.kernels import empirical_ntk
from orthontk.kernels.outputs import outputs_of
from orthontk.kernels.refusals import check_network
from orthontk.training import OneHotMSE, TrainingModule
from orthontk.training.heavy_ball import heavy_ball
from orthontk.training.losses import is_mean_cross_entropy
from orthontk.training.losses import targets as regression_targets
from orthontk.training.metrics import log_metrics, losses_and_accuracies, minibatch_accuracy

SUFFIXES = {"full": "", "trace": "_trace", "infinite": "_infinite"}  # of files and metrics, so that several can be had
LARGEST = 8000  # rows of the kernel: N·O for full, N otherwise; its eigenvectors take minutes and a gigabyte


class Prediction(RecordingCallback):
    """Logs the losses and accuracies that a fixed kernel predicts beside the actual ones, and how far outputs differ.

    For full-batch gradient descent, with or without momentum, at a constant learning rate: the network linearized at
    its initialization, under MSE in closed form, under cross-entropy step by step in function space. Metrics:

    - `predicted/train/loss`, `actual/train/loss`, and so on for accuracy and test: on all training inputs and on a
      fixed sample of the test inputs;
    - `ntk/prediction_error`: ‖f_t − f̂_t‖_F / ‖f̂_t − f_0‖_F on the training inputs, f̂ the prediction; 0 at t = 0.

    All outputs go to `prediction.safetensors`. Training is untouched. Names end in `_trace` or `_infinite` for these
    kernels, so that callbacks with different kernels go together.

    Args:
        kernel: full (the empirical NTK at t = 0), trace (its mean over outputs) or infinite.
        test_size: test inputs, class-balanced, drawn by the data's seed.
        steps: see `measured_steps`.
    """

    def __init__(self, kernel: str = "full", test_size: int = 100, steps: str | int | Sequence[int] = "log") -> None:
        super().__init__(steps)
        self.kernel = one_of("kernel", kernel, SUFFIXES)
        self.test_size = integer("test_size", test_size)
        if not measured_steps(steps, 0):
            raise InvalidValue("steps", steps, "at least one step")
        self.suffix = SUFFIXES[kernel]
        self.file = f"prediction{self.suffix}.safetensors"

    @property
    def state_key(self) -> str:
        return f"Prediction{self.suffix}"

    def check_data(self, data: TensorDataModule) -> None:
        """Refuse minibatches, whose noise no kernel alone predicts, and more inputs than any kernel may have rows."""
        if data.batch_size != "full":
            raise InvalidValue("kernel", self.kernel, f"data.batch_size=full for a prediction, not {data.batch_size}")
        self._require_rows(len(data.train))
        data.probe(self.test_size, "test", name="test_size")

    def check_module(self, module: TrainingModule) -> None:
        """Refuse a training that has no prediction."""
        try:
            heavy_ball(module.optimizer_factory(module.network.parameters()))
        except InvalidValue as error:
            message = f"an optimizer that can be predicted ({error.accepted}), not {error.name}={error.value}"
            raise InvalidValue("kernel", self.kernel, message) from error
        if module.schedule_factory is not None:
            raise InvalidValue("kernel", self.kernel, "schedule=constant for a prediction")
        if (module.config or {}).get("trainer", {}).get("gradient_clip_val") is not None:
            raise InvalidValue("kernel", self.kernel, "trainer.gradient_clip_val=null for a prediction")
        if not runs_as(module.loss, OneHotMSE) and not (
            is_mean_cross_entropy(module.loss) and module.loss.label_smoothing == 0
        ):
            raise InvalidValue("kernel", self.kernel, "loss=mse or loss=cross_entropy for a prediction")
        if self.kernel == "infinite" and not infinite_limit.has_infinite_kernels(module):
            raise InvalidValue("kernel", self.kernel, "full or trace: no limit of this network is known")

    def setup(self, trainer: pl.Trainer, pl_module: TrainingModule, stage: str) -> None:
        if stage != "fit":
            return
        data = trainer.datamodule
        test_images, test_labels, _ = data.probe(self.test_size, "test")
        self.images = {"train": data.train.images, "test": test_images}
        self.labels = {"train": data.train.labels, "test": test_labels}
        steps, actual = measured_steps(self.steps, trainer.max_steps), None
        path = Path(trainer.default_root_dir) / self.file
        if path.exists():  # of the checkpoint that the run continues from
            self.series = PredictionSeries.read(path)
            if set(steps) <= self.series.predicted["train"].keys():
                return
            actual = self.series.actual  # of a shorter run, which this one continues
            steps = sorted({*steps, *actual["train"]})
        # Before a checkpoint is restored, so the network is that of the initialization.
        network = copy.deepcopy(pl_module.network).to(trainer.strategy.root_device).double()
        self.series = PredictionSeries(path, self._predict(network, pl_module, steps), actual)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: TrainingModule) -> None:
        self.require_recorded(self.series.path, self.series.actual["train"].keys())
        self.series.keep_until(self.last_measured)

    def _predict(self, network: nn.Module, module: TrainingModule, steps: list[int]) -> dict[str, dict[int, Tensor]]:
        """Outputs (N, O) by split and step, in double precision: what training changes may be a small part of them."""
        train, test = (self.images[split].double() for split in ("train", "test"))
        try:
            check_network(network)  # BatchNorm has outputs in training mode, and no kernel
            f0, test_f0 = outputs_of(network, train), outputs_of(network, test)
        except InvalidValue as error:
            accepted = f"a network without Dropout or BatchNorm for a prediction, not {error.name}={error.value}"
            raise InvalidValue("callbacks.prediction.kernel", self.kernel, accepted) from error
        if self.kernel == "full":  # whose rows are the network's outputs, which no setting tells
            try:
                self._require_rows(f0.numel())
            except InvalidValue as error:
                raise error.within("callbacks.prediction") from error
        if self.kernel == "infinite":
            kernels = [infinite_limit.kernels_of_limit(module, *inputs).ntk for inputs in ((train,), (test, train))]
        else:
            kernels = [empirical_ntk(network, *inputs, outputs=self.kernel) for inputs in ((train,), (test, train))]
        kernel, test_kernel = (kernel.to(train.device) for kernel in kernels)
        optimizer = heavy_ball(module.optimizer_factory(network.parameters()))
        if runs_as(module.loss, OneHotMSE):
            training = MSETraining(
                kernel, f0, regression_targets(self.labels["train"], f0.shape[1]), test_kernel, test_f0
            )
        else:
            one_hot = F.one_hot(self.labels["train"], f0.shape[1])
            training = CrossEntropyTraining(kernel, f0, one_hot, test_kernel, test_f0)
        prediction = training.gradient_descent(steps, optimizer.lr, optimizer.momentum)
        return {
            split: dict(zip(steps, outputs.cpu(), strict=True))
            for split, outputs in (("train", prediction.train), ("test", prediction.test))
        }

    def _require_rows(self, rows: int) -> None:
        if rows > LARGEST:
            accepted = f"a kernel of at most {LARGEST} rows, not {rows} (data.train_size, or kernel=trace or infinite)"
            raise InvalidValue("kernel", self.kernel, accepted)

    def measure(self, trainer: pl.Trainer, module: TrainingModule, step: int) -> None:
        if step not in self.series.predicted["train"]:  # where a diverging run was stopped
            return
        metrics = {}
        for split in ("train", "test"):
            actual = outputs_of(module.network, self.images[split]).double().cpu()
            self.series.actual[split][step] = actual
            self.last_recorded = step
            for name, outputs in (("actual", actual), (f"predicted{self.suffix}", self.series.predicted[split][step])):
                labels = self.labels[split].cpu()
                loss = module.loss(outputs.double(), labels).item()
                accuracy = minibatch_accuracy(outputs, labels).item()
                metrics |= losses_and_accuracies(f"{name}/{split}", loss, accuracy, trainer.datamodule.classes)
        error = prediction_error(self.series.actual["train"][step], self.series.predicted["train"], step)
        metrics[f"ntk/prediction_error{self.suffix}"] = error
        log_metrics(trainer, metrics, step)


def prediction_error(actual: Tensor, predicted: dict[int, Tensor], step: int) -> float:
    """‖f_t − f̂_t‖_F / ‖f̂_t − f̂_0‖_F: the error as a share of the way that the outputs were to go.

    >>> import torch
    >>> predicted = {0: torch.zeros(2, 1), 5: torch.full((2, 1), 2.0)}
    >>> prediction_error(torch.ones(2, 1), predicted, 5)
    0.5
    """
    way = (predicted[step].double() - predicted[0].double()).norm()
    error = (actual.double() - predicted[step].double()).norm()
    return (error / way).item() if way > 0 else 0.0
