"""The empirical NTK as a linear operator: products with vectors, and estimates from these, without the kernel."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from orthontk.checks import InvalidValue, integer, number
from orthontk.kernels.lanczos import largest, log_quadrature, product_of
from orthontk.kernels.out_of_memory import raise_out_of_memory
from orthontk.kernels.problem import prepare
from orthontk.kernels.refusals import complete_backward
from orthontk.kernels.undisturbed import undisturbed


class Estimate(NamedTuple):
    """A value and its error: the standard error of a random estimate, or the residual norm of an eigenvalue."""

    value: float
    error: float


class NTKOperator(LinearOperator):
    """Θ v = J (Jᵀ v) for the flattened `full` kernel, (N·O, N·O) with row i·O + a; nothing but vectors is stored.

    Jᵀ v is one backward pass, J u one forward-mode pass (jvp), over `batch_size` examples at a time; where forward mode
    is missing or differs, J u is the derivative of Jᵀ v with respect to v. It is a SciPy `LinearOperator`, for use with
    any of SciPy's solvers.

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
        problem = prepare(net, x, None, "full", None, dtype, inputs="x")
        self.net, self.tensors, self.x = problem.net, problem.tensors, problem.x1
        self.bar = tqdm(disable=True)  # of products; see `_progress`
        self.batch_size = len(x) if batch_size is None else integer("batch_size", batch_size)
        with undisturbed(self.net, problem.device):
            problem.make_plan()  # refuses networks that mix examples
            self.features = problem.plan.features
            self.forward_mode = not problem.plan.hides_gradients and self._takes_forward_mode()
            if not self.forward_mode and not self._is_transpose(self._push):
                raise self._without_derivatives()
        numpy_dtype = torch.empty(0, dtype=problem.dtype, device="cpu").numpy().dtype
        super().__init__(numpy_dtype, (len(x) * self.features,) * 2)

    def _matvec(self, v: np.ndarray) -> np.ndarray:
        if np.iscomplexobj(v):
            return self._matvec(v.real) + 1j * self._matvec(v.imag)
        dtype = next(iter(self.tensors.trainable.values())).dtype
        vector = torch.as_tensor(np.asarray(v).reshape(-1, self.features), dtype=dtype, device=self.x.device)
        # Attention's fused forms have neither forward mode nor second derivatives.
        with undisturbed(self.net, self.x.device), sdpa_kernel(SDPBackend.MATH):
            pullback = [torch.zeros_like(p) for p in self.tensors.trainable.values()]
            for x, part in self._batches(vector):  # Jᵀ v
                for total, gradient in zip(pullback, self._gradients(x, part), strict=True):
                    total += gradient
            products = [self._push(x, pullback) for x, _ in self._batches(vector)]
        self.bar.update()
        return torch.cat(products).flatten().cpu().numpy()

    def _adjoint(self) -> "NTKOperator":
        return self  # symmetric

    def _batches(self, vector: Tensor) -> zip:
        return zip(self.x.split(self.batch_size), vector.split(self.batch_size), strict=True)

    def _gradients(self, x: Tensor, v: Tensor, **options: bool) -> tuple[Tensor, ...]:
        """Jᵀ v, by parameter."""
        outputs, parameters = self.tensors.call(self.net, x), [*self.tensors.trainable.values()]
        if not outputs.requires_grad:
            return tuple(map(torch.zeros_like, parameters))
        with complete_backward():
            return torch.autograd.grad(outputs, parameters, v, materialize_grads=True, **options)

    def _push(self, x: Tensor, tangents: list[Tensor]) -> Tensor:  # -> (batch, O)
        """J u."""
        if self.forward_mode:
            return self._by_forward_mode(x, tangents)
        try:
            return self._by_backward_passes(x, tangents)
        except RuntimeError as error:
            raise_out_of_memory(error)
            raise self._without_derivatives() from error

    def _without_derivatives(self) -> InvalidValue:
        accepted = "a network with forward mode or second derivatives; `empirical_ntk` needs neither"
        return InvalidValue("net", type(self.net).__name__, accepted)

    def _takes_forward_mode(self) -> bool:
        """Whether there is one, and it is right.

        It goes through `torch.no_grad`, sees no hooks on gradients, and takes the rows of `padding_idx` for parameters
        like the others; of these the examples that are asked need not have any.
        """
        if any(getattr(module, "padding_idx", None) is not None for module in self.net.modules()):
            return False
        try:
            return self._is_transpose(self._by_forward_mode)
        except RuntimeError as error:  # all that torch says of an operation without forward mode
            raise_out_of_memory(error)
            return False

    def _is_transpose(self, push: Callable[[Tensor, list[Tensor]], Tensor]) -> bool:
        """Whether v·(J u) = (Jᵀ v)·u for the J u of `push` and random u and v, over the first, middle and last example.

        What a backward pass does out of autograd's sight, its own derivative does without.
        """
        draws = torch.Generator().manual_seed(0)

        def random(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=draws, dtype=like.dtype).to(like.device)

        x, parameters = self.x[sorted({0, len(self.x) // 2, len(self.x) - 1})], [*self.tensors.trainable.values()]
        u, v = [random(p) for p in parameters], random(parameters[0].new_empty(len(x), self.features))
        apart, size = 0.0, 0.0
        for part, own in zip(x.split(self.batch_size), v.split(self.batch_size), strict=True):
            with sdpa_kernel(SDPBackend.MATH):  # as in `_matvec`
                pushed = (own * push(part, u)).sum()
            terms = [gradient * along for gradient, along in zip(self._gradients(part, own), u, strict=True)]
            apart += pushed - sum(term.sum() for term in terms)
            size += sum(term.abs().sum() for term in terms)
        return not bool(apart.abs() > torch.finfo(v.dtype).eps ** 0.5 * size)

    def _by_forward_mode(self, x: Tensor, tangents: list[Tensor]) -> Tensor:
        parameters = {name: p.detach() for name, p in self.tensors.trainable.items()}
        named = dict(zip(parameters, tangents, strict=True))
        return torch.func.jvp(lambda values: self.tensors.call(self.net, x, values), (parameters,), (named,))[1]

    def _by_backward_passes(self, x: Tensor, tangents: list[Tensor]) -> Tensor:
        """v -> Jᵀ v is linear, and its own transpose is J."""
        v = torch.zeros(len(x), self.features, dtype=tangents[0].dtype, device=x.device, requires_grad=True)
        pairs = zip(self._gradients(x, v, create_graph=True), tangents, strict=True)
        depend = [(gradient, tangent) for gradient, tangent in pairs if gradient.requires_grad]
        if not depend:
            return v.detach()
        gradients, along = zip(*depend, strict=True)
        return torch.autograd.grad(gradients, v, along, materialize_grads=True)[0]

    @contextmanager
    def _progress(self, shown: bool, products: int | None = None) -> Iterator[None]:
        """Counts products with the kernel in a bar, of `products` if that is known."""
        with tqdm(total=products, desc="NTK products", disable=not shown) as self.bar:
            yield

    def eigenvalues(self, count: int = 6, seed: int = 0, *, progress: bool = False) -> list[Estimate]:
        """The `count` largest eigenvalues, descending, by implicitly restarted Lanczos (SciPy's `eigsh`).

        The error is ‖Θv − λv‖ of the computed eigenvector: an eigenvalue lies that close to λ. Lanczos finds one copy
        of an eigenvalue, and others by rounding alone, so it runs again on what is left of Θ until no larger one comes.
        Of a kernel with no more than `count` rows these are all, from the kernel itself. `progress` shows a bar that
        counts products, whose number is not known beforehand.

        Raises:
            InvalidValue: the kernel is not finite.
        """
        rows = self.shape[0]
        start = _generator(seed).standard_normal(rows).astype(self.dtype)
        with self._progress(progress):
            if integer("count", count) < rows:
                values, vectors = largest(self, count, start)
            else:  # as many ARPACK does not give
                values, vectors = np.linalg.eigh(product_of(self, np.eye(rows, dtype=self.dtype)))
            residuals = [np.linalg.norm(self @ v - value * v) for value, v in zip(values, vectors.T, strict=True)]
        return [Estimate(float(v), float(r)) for v, r in sorted(zip(values, residuals, strict=True), reverse=True)]

    def trace(self, probes: int = 32, seed: int = 0, *, progress: bool = False) -> Estimate:
        """tr Θ by Hutchinson's estimator: the mean of vᵀΘv over vectors of random signs (Hutchinson 1990).

        The error is the standard error of that mean; of few probes it is itself uncertain. `progress` shows a bar.

        Raises:
            InvalidValue: the kernel is not finite.
        """
        signs = self._signs(probes, seed)
        with self._progress(progress, probes):
            return _mean([float(v @ product_of(self, v)) for v in signs])

    def logdet(
        self, ridge: float = 0.0, probes: int = 16, steps: int = 40, seed: int = 0, *, progress: bool = False
    ) -> Estimate:
        """log det(Θ + ridge·I) by stochastic Lanczos quadrature (Ubaru, Chen, Saad 2017, algorithm 1).

        The value is an upper bound in each probe, by Gauss quadrature; Gauss–Radau's is a lower one (Golub and Meurant
        1994). The error is one standard error of the random probes plus the mean distance of these two. It grows with
        the condition number of Θ + ridge·I: where 40 `steps` leave the bounds apart, more of them or a ridge, below
        which no eigenvalue lies, brings them together. `progress` shows a bar.

        Raises:
            InvalidValue: Θ + ridge·I is singular to rounding, as Θ is with fewer parameters than rows; the kernel is
                not finite.
        """
        ridge, steps = number("ridge", ridge, minimum=0), min(integer("steps", steps), self.shape[0])
        signs = self._signs(probes, seed)
        with self._progress(progress, probes * steps):
            bounds = [log_quadrature(self, v, ridge, steps) for v in signs]
        lower, upper = zip(*bounds, strict=True)
        estimate = _mean(upper)
        return Estimate(estimate.value, estimate.error + estimate.value - float(np.mean(lower)))

    def _signs(self, probes: int, seed: int) -> np.ndarray:
        integer("probes", probes, minimum=2)
        return _generator(seed).choice(np.array([-1.0, 1.0], self.dtype), size=(probes, self.shape[0]))


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(integer("seed", seed, minimum=0))


def _mean(samples: Sequence[float]) -> Estimate:
    return Estimate(float(np.mean(samples)), float(np.std(samples, ddof=1) / len(samples) ** 0.5))
