"""The empirical NTK as a linear operator: products with vectors, and estimates from these, without the kernel."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from orthontk.checks import InvalidValue, integer, number
from orthontk.kernels.empirical import prepare
from orthontk.kernels.undisturbed import undisturbed

Tensors = dict[str, Tensor]
Function = Callable[[Tensors], Tensor]


class Estimate(NamedTuple):
    """A value and its error: one standard error of a random estimate, or the residual norm of an eigenvalue."""

    value: float
    error: float


class NTKOperator(LinearOperator):
    """Θ v = J (Jᵀ v) for the flattened `full` kernel, (N·O, N·O) with row i·O + a; nothing but vectors is stored.

    Jᵀ v is one backward pass (vjp), J u one forward-mode pass (jvp), over `batch_size` examples at a time; where the
    network has operations without forward mode, J u is the derivative of Jᵀ v with respect to v. It is a SciPy
    `LinearOperator`, for use with any of SciPy's solvers.

    Args:
        net, x, dtype: as in `empirical_ntk`.
        batch_size: examples in one pass; None means all.

    Raises:
        InvalidValue: as `empirical_ntk`.

    >>> operator = NTKOperator(nn.Linear(3, 2), torch.ones(1, 3))  # Θ = (x·x' + 1) I
    >>> operator @ np.array([1.0, 2.0])
    array([4., 8.], dtype=float32)
    """

    def __init__(
        self, net: nn.Module, x: Tensor, *, dtype: torch.dtype | None = None, batch_size: int | None = None
    ) -> None:
        problem = prepare(net, x, None, "full", None, dtype)
        self.net, self.tensors, self.x = problem.net, problem.tensors, problem.x1
        self.batch_size = len(x) if batch_size is None else integer("batch_size", batch_size)
        with undisturbed(self.net, problem.device):
            problem.make_plan()  # refuses networks that mix examples
        self.features = problem.plan.features
        # Forward mode takes the rows of `padding_idx` for parameters like the others.
        padded = any(getattr(module, "padding_idx", None) is not None for module in self.net.modules())
        self._pushforward = _double_vjp if padded else _jvp
        numpy_dtype = torch.empty(0, dtype=problem.dtype).numpy().dtype
        super().__init__(numpy_dtype, (len(x) * self.features,) * 2)

    def _matvec(self, v: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(v):
            return self._matvec(v.real) + 1j * self._matvec(v.imag)
        parameters = {name: p.detach() for name, p in self.tensors.trainable.items()}
        dtype = next(iter(parameters.values())).dtype
        vector = torch.as_tensor(np.asarray(v).reshape(-1, self.features), dtype=dtype, device=self.x.device)
        # Attention's fused forms have neither forward mode nor second derivatives.
        with undisturbed(self.net, self.x.device), sdpa_kernel(SDPBackend.MATH):
            pullback = {name: torch.zeros_like(p) for name, p in parameters.items()}
            for x, part in self._batches(vector):  # Jᵀ v
                _, vjp = torch.func.vjp(self._function(x), parameters)
                for name, gradient in vjp(part)[0].items():
                    pullback[name] += gradient
            products = [self._push(self._function(x), parameters, pullback) for x, _ in self._batches(vector)]
        return torch.cat(products).flatten().cpu().numpy()

    def _push(self, function: Function, parameters: Tensors, tangents: Tensors) -> Tensor:
        try:
            return self._pushforward(function, parameters, tangents)
        except (NotImplementedError, RuntimeError):  # all that torch says of an operation without forward mode
            if self._pushforward is _double_vjp:
                raise
            self._pushforward = _double_vjp
            return _double_vjp(function, parameters, tangents)

    def _adjoint(self) -> "NTKOperator":
        return self  # symmetric

    def _batches(self, vector: Tensor) -> zip:
        return zip(self.x.split(self.batch_size), vector.split(self.batch_size), strict=True)

    def _function(self, x: Tensor) -> Function:
        return lambda parameters: self.tensors.call(self.net, x, parameters)  # (batch, O)

    def eigenvalues(self, count: int = 6, seed: int = 0) -> list[Estimate]:
        """The `count` largest eigenvalues, descending, by implicitly restarted Lanczos (SciPy's `eigsh`).

        The error is ‖Θv − λv‖ of the computed eigenvector: an eigenvalue lies that close to λ.
        """
        if integer("count", count) >= self.shape[0]:
            raise InvalidValue("count", count, f"fewer than the kernel's {self.shape[0]} rows; `empirical_ntk` has all")
        start = np.random.default_rng(seed).standard_normal(self.shape[0]).astype(self.dtype)
        values, vectors = eigsh(self, k=count, v0=start)
        residuals = [np.linalg.norm(self @ v - value * v) for value, v in zip(values, vectors.T, strict=True)]
        return [Estimate(float(v), float(r)) for v, r in sorted(zip(values, residuals, strict=True), reverse=True)]

    def trace(self, probes: int = 32, seed: int = 0) -> Estimate:
        """tr Θ by Hutchinson's estimator: the mean of vᵀΘv over vectors of random signs (Hutchinson 1990)."""
        return _mean([float(v @ (self @ v)) for v in self._signs(probes, seed)])

    def logdet(self, ridge: float = 0.0, probes: int = 16, steps: int = 40, seed: int = 0) -> Estimate:
        """log det(Θ + ridge·I) by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017, algorithm 1).

        The error covers the random probes, not the quadrature: raise `steps` until the value settles, which takes
        longer the worse Θ + ridge·I is conditioned.
        """
        ridge = number("ridge", ridge, minimum=0)
        return _mean([self._quadrature(v, ridge, integer("steps", steps)) for v in self._signs(probes, seed)])

    def _signs(self, probes: int, seed: int) -> np.ndarray:
        integer("probes", probes, minimum=2)
        return np.random.default_rng(seed).choice(np.array([-1.0, 1.0], self.dtype), size=(probes, self.shape[0]))

    def _quadrature(self, v: np.ndarray, ridge: float, steps: int) -> float:
        """vᵀ log(Θ + ridge·I) v: Gauss quadrature from the Lanczos tridiagonal matrix started at v."""
        diagonal, beside = lanczos(self, v, min(steps, self.shape[0]))
        nodes, vectors = eigh_tridiagonal(diagonal, beside)
        rounding = np.finfo(self.dtype).eps * nodes[-1]
        return float(v @ v * np.sum(vectors[0] ** 2 * np.log(np.maximum(nodes, rounding) + ridge)))


def _jvp(function: Function, parameters: Tensors, tangents: Tensors) -> Tensor:
    return torch.func.jvp(function, (parameters,), (tangents,))[1]


def _double_vjp(function: Function, parameters: Tensors, tangents: Tensors) -> Tensor:
    """J u from backward passes alone: v -> Jᵀ v is linear, and its own transpose is J."""
    outputs, vjp = torch.func.vjp(function, parameters)
    _, transposed = torch.func.vjp(lambda v: vjp(v)[0], torch.zeros_like(outputs))
    return transposed(tangents)[0]


def lanczos(operator: LinearOperator, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Diagonal and off-diagonal of the Lanczos matrix, float64, with full reorthogonalization."""
    basis = [start.astype(np.float64) / np.linalg.norm(start)]
    diagonal, beside = [], []
    for _ in range(steps):
        product = (operator @ basis[-1].astype(operator.dtype)).astype(np.float64)
        diagonal.append(basis[-1] @ product)
        known = np.array(basis)
        for _ in range(2):  # once more removes what rounding left of the first time
            product -= known.T @ (known @ product)
        length = np.linalg.norm(product)
        if len(diagonal) == steps or length <= 1e-10 * abs(diagonal[0]):
            break
        beside.append(length)
        basis.append(product / length)
    return np.array(diagonal), np.array(beside[: len(diagonal) - 1])


def _mean(samples: list[float]) -> Estimate:
    return Estimate(float(np.mean(samples)), float(np.std(samples, ddof=1) / len(samples) ** 0.5))
