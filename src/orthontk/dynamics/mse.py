"""Training of a linearized network under MSE, in closed form.

With the loss (1/N) Σ_i |f(x_i) − y_i|² (the mean over N images of the sum over outputs; no ½) the residual r = f − y
on the training inputs obeys ṙ = −(2/N)Θr, and a step of gradient descent takes it to (1 − (2η/N)Θ)r. Along an
eigenvector of Θ with eigenvalue λ only the number r_t(λ)/r_0 matters; other inputs follow through their kernel with the
training inputs: f_t(x) = f_0(x) − Θ(x, X) U diag((1 − r_t(λ)/r_0)/λ) Uᵀ r_0.

Source: Jacot et al. 2018, §5; Lee et al. 2019, eqs. 8–11 (with a loss of ½ Σ instead).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from orthontk.checks import number
from orthontk.dynamics.blocks import apply_kernel, as_matrix, check_shapes
from orthontk.dynamics.momentum import check_momentum, residual_after
from orthontk.dynamics.times import check_steps, check_times
from orthontk.kernels.measures import rounding


class Prediction(NamedTuple):
    """Outputs at each of T times: `train` (T, N, O) and `test` (T, M, O), or None without test inputs."""

    train: Tensor
    test: Tensor | None


class MSETraining:
    """Predicted training from any kernel, empirical at t = 0 or infinite; one eigendecomposition serves all times.

    Args:
        kernel: Θ on the training inputs, (N, N) or (N, N, O, O).
        f0: (N, O), the outputs at initialization.
        targets: (N, O).
        test_kernel: Θ between test and training inputs, (M, N) or (M, N, O, O).
        test_f0: (M, O), the test outputs at initialization.

    Raises:
        InvalidValue: shapes that do not fit, or kernels that are not finite.

    >>> training = MSETraining(torch.eye(2), torch.zeros(2, 1), torch.ones(2, 1))
    >>> training.gradient_descent([0, 1, 2], lr=0.5).train[:, 0, 0]  # each step halves the residual: 1 − 2η/N = ½
    tensor([0.0000, 0.5000, 0.7500], dtype=torch.float64)
    """

    def __init__(
        self,
        kernel: Tensor,
        f0: Tensor,
        targets: Tensor,
        test_kernel: Tensor | None = None,
        test_f0: Tensor | None = None,
    ) -> None:
        self.f0, self.targets = f0.detach().to(torch.float64), targets.detach().to(torch.float64)
        check_shapes(kernel, f0, targets, test_kernel, test_f0)
        eigenvalues, self._basis = torch.linalg.eigh(as_matrix(kernel))
        # Rounding puts zeros on both sides of 0: as far as it reaches below, no eigenvalue above is told from it. That
        # alone would miss a single zero that rounding has put above.
        noise = max(-4 * float(eigenvalues[0]), rounding(eigenvalues, kernel))
        self.eigenvalues = torch.where(eigenvalues > noise, eigenvalues, 0.0)
        residual = self.f0 - self.targets
        if len(self._basis) != len(residual):
            residual = residual.reshape(-1, 1)
        self._projected = self._basis.mT @ residual  # (modes, O or 1)
        self._test = None if test_kernel is None else (as_matrix(test_kernel), test_f0.detach().to(torch.float64))

    def gradient_flow(self, times: Sequence[float] | Tensor) -> Prediction:
        """Outputs at continuous times t, ∞ included (a step of size η takes a time η).

        Raises:
            InvalidValue: times below 0.
        """
        times = check_times(times, infinite=True)
        return self._predict(times, lambda rate, t: torch.where(rate > 0, torch.exp(-rate * t), 1.0))  # 0·∞ is 0

    def gradient_descent(self, steps: Sequence[int] | Tensor, lr: float, momentum: float = 0.0) -> Prediction:
        """Outputs after the given numbers of steps of θ ← θ − ηv, v ← βv + ∇ (torch's SGD; v starts at 0).

        Any learning rate is taken, beyond the largest stable one too: the prediction then diverges, as training does.

        Raises:
            InvalidValue: steps that are no integers of at least 0, a rate of 0 or less, or a momentum outside [0, 1).
        """
        lr, momentum = number("lr", lr, above=0), check_momentum(momentum)
        return self._predict(check_steps(steps), lambda rate, t: residual_after(t, lr * rate, momentum))

    def _predict(self, times: Sequence[float], shrink: Callable[[Tensor, Tensor], Tensor]) -> Prediction:
        """`shrink(rate, t)` is r_t/r_0 for modes (modes,) that decay at a rate 2λ/N, at times (T, 1)."""
        t = torch.as_tensor(times, dtype=torch.float64).reshape(-1, 1)
        n = len(self.f0)
        left = shrink(2 * self.eigenvalues / n, t)  # (T, modes)
        residual = self._basis @ (left[..., None] * self._projected)  # (T, N·O or N, 1 or O)
        train = self.targets + residual.reshape(len(t), *self.f0.shape)
        if self._test is None:
            return Prediction(train, None)
        matrix, test_f0 = self._test
        # Where λ is 0, Θ(x, X)u is, as the kernel of test and training inputs together is positive semidefinite.
        displacement = torch.where(self.eigenvalues > 0, (1 - left) / self.eigenvalues, 0.0)  # (T, modes)
        weights = self._basis @ (displacement[..., None] * self._projected)
        return Prediction(train, test_f0 - apply_kernel(matrix, weights.reshape(len(t), *self.f0.shape)))


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of the sum over outputs of the squared error: (…, N, O) to (…)."""
    return (outputs - targets).square().sum(-1).mean(-1)
