"""Training of a linearized network under cross-entropy, which has no closed form.

The loss is the mean over N images of −Σ_a y_a log softmax(f)_a, so that with the training inputs' f and any other f(x),
ḟ(x) = −(1/N) Θ(x, X)(softmax(f) − y). Source: Lee et al. 2019, §2.2 and supplement F.
"""

from collections.abc import Sequence

import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from orthontk.checks import number
from orthontk.dynamics.blocks import apply_kernel, as_matrix, check_shapes
from orthontk.dynamics.momentum import check_momentum
from orthontk.dynamics.mse import Prediction
from orthontk.dynamics.times import check_steps, check_times

SHORTEST = 1e-12  # span of time that LSODA is given: it finds no first step for 1e-200


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

    def gradient_descent(self, steps: Sequence[int] | Tensor, lr: float, momentum: float = 0.0) -> Prediction:
        """Outputs after the given numbers of steps of torch's SGD, by iterating f ← f − ηv, v ← βv + Θ∇/N.

        Raises:
            InvalidValue: steps that are no integers of at least 0, a rate of 0 or less, or a momentum outside [0, 1).
        """
        number("lr", lr, above=0), check_momentum(momentum)
        steps = check_steps(steps)
        wanted = set(steps)
        f, velocity, kept = self._f0, torch.zeros_like(self._f0), {}
        for step in range(max(wanted, default=-1) + 1):
            if step in wanted:
                kept[step] = f
            velocity = momentum * velocity + self._gradient(f)
            f = f - lr * velocity
        return self._at(steps, kept)

    def gradient_flow(self, times: Sequence[float] | Tensor, rtol: float = 1e-8, atol: float = 1e-10) -> Prediction:
        """Outputs at continuous times, by SciPy's LSODA, which turns stiff by itself.

        Raises:
            InvalidValue: times below 0 or, unlike in `MSETraining`, infinite.
        """
        shape, times = self._f0.shape, check_times(times, infinite=False)
        later = sorted({time for time in times if time > 0})
        if not later:
            return self._at(times, {0.0: self._f0})

        def velocity(_: float, f):  # (N+M)·O numbers
            return -self._gradient(torch.from_numpy(f).reshape(shape)).flatten().numpy()

        span = (0.0, max(later[-1], SHORTEST))
        solution = solve_ivp(velocity, span, self._f0.flatten().numpy(), "LSODA", later, rtol=rtol, atol=atol)
        if not solution.success:
            raise ArithmeticError(solution.message)
        outputs = torch.from_numpy(solution.y.T.copy()).reshape(-1, *shape)
        return self._at(times, {0.0: self._f0, **dict(zip(later, outputs, strict=True))})

    def _gradient(self, f: Tensor) -> Tensor:
        """Θ(·, X)(softmax(f) − y)/N: (N+M, O)."""
        n = len(self.targets)
        return apply_kernel(self._matrix, torch.softmax(f[:n], dim=-1) - self.targets) / n

    def _at(self, times: Sequence[float], outputs: dict[float, Tensor]) -> Prediction:
        """`outputs` (N+M, O) by time, in the order of `times`."""
        n, f = len(self.targets), self._f0.new_empty(len(times), *self._f0.shape)
        for row, time in enumerate(times):
            f[row] = outputs[time]
        return Prediction(f[:, :n], f[:, n:] if f.shape[1] > n else None)


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of −Σ_a y_a log softmax(f)_a: (…, N, O) to (…)."""
    return -(targets * torch.log_softmax(outputs, dim=-1)).sum(-1).mean(-1)
