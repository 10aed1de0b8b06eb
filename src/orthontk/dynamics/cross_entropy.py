"""Training of a linearized network under cross-entropy, which has no closed form.

The loss is the mean over N images of −Σ_a y_a log softmax(f)_a, so that with the training inputs' f and any other f(x),
ḟ(x) = −(1/N) Θ(x, X)(softmax(f) − y). Source: Lee et al. 2019, §2.2 and supplement F.
"""

import math
from collections.abc import Sequence

import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from orthontk.checks import InvalidValue, number
from orthontk.dynamics.blocks import apply_kernel, as_matrix, check_shapes
from orthontk.dynamics.momentum import check_momentum
from orthontk.dynamics.mse import Prediction


class CrossEntropyTraining:
    """As `MSETraining`, by stepping in function space.

    Args:
        kernel, f0, targets, test_kernel, test_f0: as in `MSETraining`; targets are probabilities (one-hot).

    Raises:
        InvalidValue: shapes that do not fit, or kernels that are not finite.

    >>> targets = torch.eye(2)
    >>> training = CrossEntropyTraining(torch.eye(2), torch.zeros(2, 2), targets)
    >>> training.gradient_descent([0, 100], lr=1.0).train[1].argmax(1)
    tensor([0, 1])
    """

    def __init__(
        self,
        kernel: Tensor,
        f0: Tensor,
        targets: Tensor,
        test_kernel: Tensor | None = None,
        test_f0: Tensor | None = None,
    ) -> None:
        check_shapes(kernel, f0, targets, test_kernel, test_f0)
        self.targets = targets.detach().to(torch.float64)
        matrices = [as_matrix(k) for k in (kernel, test_kernel) if k is not None]
        self._matrix = torch.cat(matrices)  # training rows, then test rows
        self._f0 = torch.cat([f.detach().to(torch.float64) for f in (f0, test_f0) if f is not None])  # (N+M, O)

    def gradient_descent(self, steps: Sequence[int], lr: float, momentum: float = 0.0) -> Prediction:
        """Outputs after the given numbers of steps of torch's SGD, by iterating f ← f − ηv, v ← βv + Θ∇/N.

        Raises:
            InvalidValue: a negative number of steps, a rate of 0 or less, or a momentum outside [0, 1).
        """
        number("lr", lr, above=0), check_momentum(momentum)
        steps = [int(step) for step in steps]
        wanted = set(steps)
        if min(wanted, default=0) < 0:
            raise InvalidValue("steps", steps, "numbers of at least 0")
        f, velocity, kept = self._f0, torch.zeros_like(self._f0), {}
        for step in range(max(wanted, default=-1) + 1):
            if step in wanted:
                kept[step] = f
            velocity = momentum * velocity + self._gradient(f)
            f = f - lr * velocity
        return self._split(torch.cat([self._f0.new_empty(0, *self._f0.shape), *(kept[step][None] for step in steps)]))

    def gradient_flow(self, times: Sequence[float], rtol: float = 1e-8, atol: float = 1e-10) -> Prediction:
        """Outputs at continuous times, ascending, by SciPy's LSODA, which turns stiff by itself.

        Raises:
            InvalidValue: times below 0, out of order or, unlike in `MSETraining`, infinite.
        """
        shape, times = self._f0.shape, [float(time) for time in times]
        if not all(0 <= time < math.inf for time in times) or times != sorted(times):
            raise InvalidValue("times", times, "finite ascending times of at least 0")
        if not times:
            return self._split(self._f0.new_empty(0, *shape))

        def velocity(_: float, f):  # (N+M)·O numbers
            return -self._gradient(torch.from_numpy(f).reshape(shape)).flatten().numpy()

        span = (0.0, max(times[-1], 1e-300))
        solution = solve_ivp(velocity, span, self._f0.flatten().numpy(), "LSODA", times, rtol=rtol, atol=atol)
        if not solution.success:
            raise ArithmeticError(solution.message)
        return self._split(torch.from_numpy(solution.y.T.copy()).reshape(-1, *shape))

    def _gradient(self, f: Tensor) -> Tensor:
        """Θ(·, X)(softmax(f) − y)/N: (N+M, O)."""
        n = len(self.targets)
        return apply_kernel(self._matrix, torch.softmax(f[:n], dim=-1) - self.targets) / n

    def _split(self, f: Tensor) -> Prediction:
        n = len(self.targets)
        return Prediction(f[:, :n], f[:, n:] if f.shape[1] > n else None)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of −Σ_a y_a log softmax(f)_a: (…, N, O) to (…)."""
    return -(targets * torch.log_softmax(outputs, dim=-1)).sum(-1).mean(-1)
