"""At which steps a callback measures."""

from collections.abc import Collection, Sequence

import pytorch_lightning as pl

from orthontk.checks import InvalidValue, integer


def measured_steps(steps: str | int | Sequence[int], max_steps: int) -> list[int]:
    """The steps in [0, max_steps] at which to measure.

    Args:
        steps: "log" for 0, 1, 2, 5, 10, 20, 50, … and the last; an interval k for 0, k, 2k, … and the last; or the
            steps themselves, and 0, which changes are relative to. An empty list is none at all.
        max_steps: number of updates.

    Raises:
        InvalidValue: anything else.

    >>> measured_steps("log", 30)
    [0, 1, 2, 5, 10, 20, 30]
    >>> measured_steps(20, 30)
    [0, 20, 30]
    >>> measured_steps([7, 99], 30)
    [0, 7]
    """
    if steps == "log":
        powers = (10**exponent for exponent in range(len(str(max_steps))))
        chosen = {0, *(factor * power for power in powers for factor in (1, 2, 5)), max_steps}
    elif isinstance(steps, int) and not isinstance(steps, bool):
        chosen = {*range(0, max_steps + 1, integer("steps", steps)), max_steps}
    elif isinstance(steps, Sequence) and not isinstance(steps, str):
        chosen = {integer("steps", step, minimum=0) for step in (*steps, 0)} if steps else set()
    else:
        raise InvalidValue("steps", steps, "log, an interval, or a list of steps")
    return sorted(step for step in chosen if step <= max_steps)


def back_to_device(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Lightning moves a network to the CPU before it calls `on_fit_end`; the data stay where they were."""
    if module.device != trainer.strategy.root_device:
        module.to(trainer.strategy.root_device)


class ScheduledCallback(pl.Callback):
    """Calls `measure` after as many updates as `steps` says, also when there are none at all.

    A run that stops early is measured where it stopped if its schedule includes the end.
    """

    def __init__(self, steps: str | int | Sequence[int]) -> None:
        measured_steps(steps, 0)  # refuses a bad value before anything is computed
        self.steps = steps
        self.last_measured = -1

    def measure(self, trainer: pl.Trainer, module: pl.LightningModule, step: int) -> None:
        raise TypeError(f"{type(self).__name__} does not say what it measures")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.due = frozenset(measured_steps(self.steps, trainer.max_steps))
        self._measure_if_due(trainer, pl_module, self.due)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: object) -> None:
        self._measure_if_due(trainer, pl_module, self.due)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Lightning calls no train hook for zero steps, and none after an early stop.
        back_to_device(trainer, pl_module)
        self._measure_if_due(trainer, pl_module, measured_steps(self.steps, trainer.global_step))

    def _measure_if_due(self, trainer: pl.Trainer, module: pl.LightningModule, due: Collection[int]) -> None:
        step = trainer.global_step
        if step in due and step != self.last_measured:
            self.measure(trainer, module, step)
            self.last_measured = step

    def state_dict(self) -> dict[str, int]:
        return {"last_measured": self.last_measured}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.last_measured = state_dict["last_measured"]
