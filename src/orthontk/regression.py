"""Kernel ridge regression, its ridge chosen by leave-one-out error in closed form."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from orthontk.checks import InvalidValue

RIDGES = tuple(10.0**exponent for exponent in range(-10, 3))  # shares of the mean eigenvalue


class Regression(NamedTuple):
    """A fit.

    Attributes:
        predictions: (M, O) at the test inputs.
        ridge: the chosen one, an absolute number (added to the kernel's diagonal).
        leave_one_out: (R,), the mean over images of the summed squared leave-one-out error, for every ridge tried.
        leave_one_out_accuracy: share of training images whose largest left-out prediction is their class; NaN for a
            single output.
    """

    predictions: Tensor
    ridge: float
    leave_one_out: Tensor
    leave_one_out_accuracy: float


def kernel_regression(
    kernel: Tensor, targets: Tensor, test_kernel: Tensor, ridges: Sequence[float] = RIDGES
) -> Regression:
    """Fit f(x) = K(x, X)(K + ρI)⁻¹y with the ridge ρ of the least leave-one-out error.

    With α = (K + ρI)⁻¹y the error at i of the fit without i is α_i/[(K + ρI)⁻¹]_ii, so that one eigendecomposition
    gives all N·R fits.

    Args:
        kernel: (N, N), positive semidefinite.
        targets: (N, O).
        test_kernel: (M, N).
        ridges: candidates, as shares of K's mean eigenvalue, above 0.

    Raises:
        InvalidValue: shapes that do not fit, no inputs, entries that are not finite, no ridge, or one that is not
            finite or not above 0.

    Source: Rasmussen and Williams 2006, §5.4.2.

    >>> x = torch.linspace(-1, 1, 9)[:, None]
    >>> fit = kernel_regression(1 + x @ x.T, 3 * x + 1, 1 + x[:2] @ x.T)
    >>> torch.allclose(fit.predictions, (3 * x[:2] + 1).double(), atol=1e-5)
    True
    """
    kernel, targets, test_kernel = (tensor.detach().to(torch.float64) for tensor in (kernel, targets, test_kernel))
    if targets.dim() != 2:
        raise InvalidValue("targets", tuple(targets.shape), "(N, O), of classes one-hot")
    n = len(targets)
    if n == 0 or kernel.shape != (n, n) or test_kernel.shape[1:] != (n,):
        shapes = f"(N, N) and (M, N) with N = {n or 'one or more'}"
        raise InvalidValue("kernel", f"{tuple(kernel.shape)}, {tuple(test_kernel.shape)}", shapes)
    for name, values in (("kernel", kernel), ("targets", targets), ("test_kernel", test_kernel)):
        if not values.isfinite().all():
            raise InvalidValue(name, "NaN or infinity", "finite entries")
    if not len(ridges) or not all(0 < ridge < math.inf for ridge in ridges):
        raise InvalidValue("ridges", list(ridges), "one or more finite numbers above 0")
    eigenvalues, basis = torch.linalg.eigh(kernel)
    eigenvalues = eigenvalues.clamp(min=0)  # rounding may leave the least ones below
    scale = float(eigenvalues.mean()) or 1.0  # of a kernel that is zero, which predicts zero with any ridge
    candidates = [share * scale for share in ridges]
    residuals = [_left_out_residuals(eigenvalues + ridge, basis, targets) for ridge in candidates]
    errors = torch.stack([r.square().sum(1).mean() for r in residuals])
    best = int(errors.argmin())
    dual_weights = basis @ ((basis.mT @ targets) / (eigenvalues + candidates[best])[:, None])  # (N, O)
    accuracy = ((targets - residuals[best]).argmax(1) == targets.argmax(1)).double().mean()
    accuracy = float(accuracy) if targets.shape[1] > 1 else math.nan
    return Regression(test_kernel @ dual_weights, candidates[best], errors, accuracy)


def _left_out_residuals(spectrum: Tensor, basis: Tensor, targets: Tensor) -> Tensor:
    """y_i minus what the fit without i predicts there: (N, O)."""
    alpha = basis @ ((basis.mT @ targets) / spectrum[:, None])
    inverse_diagonal = (basis**2) @ (1 / spectrum)
    return alpha / inverse_diagonal[:, None]
