"""What the predicted trainings are asked at: numbers of steps, and times of a gradient flow."""

import math
from collections.abc import Iterable, Sequence

from torch import Tensor

from orthontk.checks import integer, number


def check_steps(steps: Sequence[int] | Tensor) -> list[int]:
    """`steps`, if they are integers of at least 0; otherwise InvalidValue."""
    return [integer("steps", step, minimum=0) for step in _values(steps)]


def check_times(times: Sequence[float] | Tensor, infinite: bool) -> list[float]:
    """`times`, if they are numbers of at least 0, finite or, where allowed, infinite; otherwise InvalidValue."""
    return [time if infinite and time == math.inf else number("times", time, minimum=0) for time in _values(times)]


def _values(values: Sequence | Tensor) -> Sequence:
    if isinstance(values, Tensor):
        return values.reshape(-1).tolist()
    return values if isinstance(values, Iterable) else [values]
