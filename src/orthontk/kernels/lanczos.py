"""Lanczos' method: the largest eigenvalues of a symmetric operator, and the tridiagonal matrix for a quadrature."""

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh

from orthontk.checks import InvalidValue

ROUNDING = 16  # times ε·λ_max: what rounding makes of an eigenvalue that is 0


def largest(operator: LinearOperator, count: int, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `_leading`, with every copy of an eigenvalue."""
    values, vectors = _leading(operator, count, start)
    for _ in range(count - 1):  # the largest one was not missed
        rest = LinearOperator(operator.shape, _without(operator, values, vectors), dtype=operator.dtype)
        value, vector = _leading(rest, 1, start)
        if value[0] <= values.min() + 100 * np.finfo(operator.dtype).eps * values.max():
            break
        kept = values.argsort()[1:]
        values, vectors = np.append(values[kept], value), np.hstack([vectors[:, kept], vector])
    return values, vectors


def _leading(operator: LinearOperator, count: int, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `count` largest eigenvalues and their vectors, as columns."""
    if not np.any(product_of(operator, start)):  # Θ = 0, with which ARPACK cannot begin
        return np.zeros(count), np.eye(len(start), count, dtype=start.dtype)
    return eigsh(operator, k=count, v0=start, which="LA")


def product_of(operator: LinearOperator, v: np.ndarray) -> np.ndarray:
    product = operator @ v
    if not np.isfinite(product).all():
        raise InvalidValue("net", "a kernel that is not finite", "a network with finite gradients on these inputs")
    return product


def _without(operator: LinearOperator, values: np.ndarray, vectors: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The operator less what it does along some of its eigenvectors."""

    def matvec(v: np.ndarray) -> np.ndarray:
        v = v.ravel()
        return operator @ v - vectors @ (values * (vectors.T @ v))

    return matvec


def log_quadrature(operator: LinearOperator, v: np.ndarray, ridge: float, steps: int) -> tuple[float, float]:
    """A lower and an upper bound of vᵀ log(Θ + ridge·I) v, from the Lanczos matrix started at v, of `steps` rows.

    The even derivatives of a logarithm are negative and its odd ones positive, so that Gauss quadrature is an upper
    bound, and Gauss–Radau quadrature with one node below the spectrum a lower bound (Golub and Meurant 1994).

    Raises:
        InvalidValue: Θ + ridge·I is singular to rounding.
    """
    diagonal, beside = lanczos(operator, v, steps)
    nodes, vectors = eigh_tridiagonal(diagonal, beside[:-1])
    rounding = ROUNDING * np.finfo(operator.dtype).eps * nodes[-1]
    if nodes[0] + ridge <= rounding:
        accepted = f"a larger one: the kernel is singular to rounding beside its largest eigenvalue {nodes[-1]:.3g}"
        raise InvalidValue("ridge", ridge, accepted)
    upper = v @ v * np.sum(vectors[0] ** 2 * np.log(nodes + ridge))
    below = max(ridge, rounding) / 2  # half, so that rounding takes no eigenvalue below it
    last = below - ridge + beside[-1] ** 2 * np.sum(vectors[-1] ** 2 / (nodes + ridge - below))
    nodes, vectors = eigh_tridiagonal(np.append(diagonal, last), beside)
    lower = v @ v * np.sum(vectors[0] ** 2 * np.log(np.maximum(nodes + ridge, below)))
    return min(float(lower), float(upper)), float(upper)


def lanczos(operator: LinearOperator, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal and off-diagonal of the Lanczos matrix, float64, with full reorthogonalization.

    The last of the off-diagonal is what would lead on to a further row; 0 where there is none.
    """
    basis = [start.astype(np.float64) / np.linalg.norm(start)]
    diagonal, beside = [], []
    for _ in range(steps):
        product = product_of(operator, basis[-1].astype(operator.dtype)).astype(np.float64)
        diagonal.append(basis[-1] @ product)
        known = np.array(basis)
        for _ in range(2):  # once more removes what rounding left of the first time
            product -= known.T @ (known @ product)
        length = np.linalg.norm(product)
        beside.append(length)
        if len(diagonal) == steps or length <= 1e-10 * abs(diagonal[0]):
            break
        basis.append(product / length)
    return np.array(diagonal), np.array(beside)
