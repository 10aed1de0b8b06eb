"""τ, the learning speed: after how many updates a network first exceeds an accuracy."""

import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from orthontk.callbacks.schedule import back_to_device
from orthontk.checks import InvalidValue, boolean, number
from orthontk.data import TensorDataModule
from orthontk.splits import TAU_SPLITS
from orthontk.training.module import TrainingModule

SIGMAS = 4.0  # by how many standard deviations a sample may mislead
SEEN = (1000, 2000, 4000, 7000)  # test inputs after which those that are clearly below the threshold are left out


class Tau(pl.Callback):
    """Logs, for a network or each replica of an ensemble:

    - `train/tau`: the number of updates after which the accuracy on the step's minibatch, measured before the step's
      own update, first exceeds the threshold;
    - `test/tau`: the number of updates, at least one, after which the accuracy on the whole test set first does;
    - `train/censored`, `test/censored`: 0 with a τ, and 1 at the end of a training that had none. There is no τ then.

    Of replicas that end with one τ (`ensemble.stop=train_tau`) the other is not looked for: it would be known of those
    that reach it first, and its mean be too small.

    The whole test set is evaluated only where τ is near: after updates whose next minibatch (a sample of what the same
    parameters get right) is at most four standard deviations of the difference between such a sample and the test set
    below the threshold, and then in a random order, until what was seen is four standard deviations below. What is
    missed is a test accuracy above the threshold that one of these looks puts more than that below it: less than one in
    5,000 such updates if the test inputs are as easy as the training inputs. Full-batch training accuracies, which the
    network was fitted to, are above the test accuracy rather than below it. After the last update all is evaluated.

    Args:
        threshold: an accuracy in (0, 1).
        test: whether to measure `test/tau`.
    """

    def __init__(self, threshold: float = 0.25, test: bool = True) -> None:
        self.threshold = number("threshold", threshold, above=0)
        if self.threshold >= 1:
            raise InvalidValue("threshold", threshold, "a number above 0 and below 1")
        self.splits = TAU_SPLITS if boolean("test", test) else TAU_SPLITS[:1]
        self.reached: dict[str, dict[int, int]] = {split: {} for split in self.splits}

    def check_data(self, data: TensorDataModule) -> None:
        if data.classes == 1:
            raise InvalidValue("threshold", self.threshold, "data of several classes, as one has no accuracy")

    def on_before_backward(self, trainer: pl.Trainer, pl_module: TrainingModule, loss: Tensor) -> None:
        """After the step's outputs are known and before its update."""
        if not pl_module.first_of_step:
            return
        accuracies, examples = pl_module.accuracies_of_step()
        accuracies = accuracies.tolist()
        splits = self._measured(pl_module)
        if "train" in splits:
            above = [row for row in self._open("train", pl_module) if accuracies[row] > self.threshold]
            self._note("train", above, pl_module)
        if trainer.global_step > 0 and "test" in splits:
            size = len(pl_module.data_of_split("test"))
            least = self.threshold - self._margin(1 / examples + 1 / size)
            near = [row for row in self._open("test", pl_module) if accuracies[row] > least]
            self._note("test", self._above_on_test(near, pl_module), pl_module)

    def on_replicas_end(self, trainer: pl.Trainer, pl_module: TrainingModule, rows: Sequence[int]) -> None:
        """The last update of these replicas has been made; `rows` of a single network is [0]."""
        splits = self._measured(pl_module)
        if "test" in splits and trainer.global_step > 0:
            still_open = [row for row in self._open("test", pl_module) if row in rows]
            self._note("test", self._above(pl_module, still_open), pl_module)
        for split in splits:
            censored = [row for row in self._open(split, pl_module) if row in rows]
            if censored:
                values = {f"{split}/censored": [1.0] * len(censored)}
                pl_module.log_replicas(values, trainer.global_step, censored)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: TrainingModule) -> None:
        # Not `on_train_end`, which a run that is resumed at its last step does not see.
        back_to_device(trainer, pl_module)
        self.on_replicas_end(trainer, pl_module, range(len(pl_module.numbers)))

    def _measured(self, module: TrainingModule) -> Sequence[str]:
        """The splits whose τ is looked for."""
        return [split for split in self.splits if module.stop in (None, "both", f"{split}_tau")]

    def _open(self, split: str, module: TrainingModule) -> list[int]:
        """The rows of replicas that have no τ yet."""
        return [row for row, number in enumerate(module.numbers) if number not in self.reached[split]]

    def _note(self, split: str, rows: list[int], module: TrainingModule) -> None:
        step = module.global_step
        self.reached[split].update({module.numbers[row]: step for row in rows})
        if rows:
            values = {f"{split}/tau": [float(step)] * len(rows), f"{split}/censored": [0.0] * len(rows)}
            module.log_replicas(values, step, rows)
        if module.stop is not None:
            needed = self._measured(module)
            done = [row for row in rows if all(module.numbers[row] in self.reached[name] for name in needed)]
            module.end(done, "stopped")

    def _above_on_test(self, rows: list[int], module: TrainingModule) -> list[int]:
        """Those of `rows` that are above the threshold on the whole test set, each looked at as long as it may be."""
        size, seen, correct = len(module.data_of_split("test")), 0, dict.fromkeys(rows, 0)
        for end in (*(end for end in SEEN if end < size), size):
            if not rows:
                break
            accuracies = module.evaluate("test", rows, slice(seen, end))[1].tolist()
            for row, accuracy in zip(rows, accuracies, strict=True):
                correct[row] += round(accuracy * (end - seen))
            seen = end
            least = self.threshold - self._margin(1 / seen - 1 / size)
            rows = [row for row in rows if correct[row] / seen > least]
        return rows

    def _above(self, module: TrainingModule, rows: list[int]) -> list[int]:
        if not rows:
            return []
        accuracies = module.evaluate("test", rows)[1].tolist()
        return [row for row, accuracy in zip(rows, accuracies, strict=True) if accuracy > self.threshold]

    def _margin(self, share: float) -> float:
        """How far a sample's accuracy may be below the test set's when that is at the threshold.

        The variance of their difference is `share` of that of a single answer: 1/n + 1/N for n other examples and
        1/n - 1/N for n of the N themselves.
        """
        return SIGMAS * math.sqrt(self.threshold * (1 - self.threshold) * share)

    def state_dict(self) -> dict[str, Any]:
        return {"reached": self.reached}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.reached = state_dict["reached"]
