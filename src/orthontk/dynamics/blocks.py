"""Kernels over (input, output) pairs: `full` (N, M, O, O), or (N, M), the same for each output."""

import torch
from torch import Tensor

from orthontk.checks import InvalidValue
from orthontk.kernels.measures import flatten_outputs


def as_matrix(kernel: Tensor) -> Tensor:
    """(N, M) stays as it is, (N, M, O, O) becomes (N·O, M·O); in float64.

    Raises:
        InvalidValue: another shape, or entries that are not finite.
    """
    if not kernel.isfinite().all():
        raise InvalidValue("kernel", "NaN or infinity", "finite entries")
    return flatten_outputs(kernel.detach().to(torch.float64), name="kernel")


def check_shapes(
    kernel: Tensor, f0: Tensor, targets: Tensor, test_kernel: Tensor | None, test_f0: Tensor | None
) -> None:
    """Refuse kernels, outputs (N, O), (M, O) and targets (N, O) that do not fit together."""
    if f0.dim() != 2 or f0.shape != targets.shape:
        raise InvalidValue("f0", tuple(f0.shape), f"(N, O) like the targets' {tuple(targets.shape)}")
    n, o = f0.shape
    if kernel.shape not in ((n, n), (n, n, o, o)):
        raise InvalidValue("kernel", tuple(kernel.shape), f"{(n, n)} or {(n, n, o, o)}, for outputs {(n, o)}")
    if (test_kernel is None) != (test_f0 is None):
        raise InvalidValue("test_f0", test_f0, "given together with test_kernel")
    if test_kernel is not None and test_kernel.shape[1:] != kernel.shape[1:]:
        accepted = f"(M, {', '.join(map(str, kernel.shape[1:]))}), test by training inputs"
        raise InvalidValue("test_kernel", tuple(test_kernel.shape), accepted)
    if test_f0 is not None and test_f0.shape != (len(test_kernel), o):
        raise InvalidValue("test_f0", tuple(test_f0.shape), f"{(len(test_kernel), o)}, as many as in test_kernel")


def apply_kernel(matrix: Tensor, values: Tensor) -> Tensor:
    """Σ_j Θ(i, j)·values(j): (…, M, O) to (…, N, O), for a matrix from `as_matrix`."""
    *batch, m, o = values.shape
    if matrix.shape[1] == m:
        return matrix @ values
    return (matrix @ values.reshape(*batch, m * o, 1)).reshape(*batch, len(matrix) // o, o)
