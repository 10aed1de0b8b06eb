"""Scalars that summarize a kernel; pure functions, computed in float64.

A kernel is (N, N), or (N, N, O, O) with all pairs of outputs. Names and definitions: the metrics `ntk/…` of a run.
"""

import torch
from torch import Tensor

from orthontk.checks import InvalidValue


def flatten_outputs(theta: Tensor, name: str = "theta") -> Tensor:
    """The kernel as one matrix: (N₁, N₂, O, O) → (N₁·O, N₂·O), row i·O + a for output a of example i.

    Raises:
        InvalidValue: another shape, called `name`.

    >>> flatten_outputs(torch.zeros(3, 2, 4, 4)).shape
    torch.Size([12, 8])
    """
    if theta.dim() == 2:
        return theta
    if theta.dim() != 4 or theta.shape[2] != theta.shape[3]:
        raise InvalidValue(name, tuple(theta.shape), "a kernel of shape (N, M) or (N, M, O, O)")
    return theta.transpose(1, 2).reshape(theta.shape[0] * theta.shape[2], theta.shape[1] * theta.shape[3])


def mean_over_outputs(theta: Tensor) -> Tensor:
    """(1/O) Σₐ Θₐₐ, the kernel called `trace`: (N, N, O, O) → (N, N); an (N, N) kernel is returned as it is."""
    return theta if theta.dim() == 2 else theta.diagonal(dim1=2, dim2=3).mean(-1)


def eigenvalues(theta: Tensor) -> Tensor:
    """Eigenvalues of the flattened symmetric kernel in ascending order, float64: (N,) or (N·O,).

    >>> eigenvalues(torch.diag(torch.tensor([3.0, 1.0])))
    tensor([1., 3.], dtype=torch.float64)
    """
    matrix = flatten_outputs(theta).double()
    if matrix.shape[0] != matrix.shape[1]:
        raise InvalidValue("theta", tuple(theta.shape), "a kernel of one set of inputs with itself")
    # Not SciPy's, a quarter faster by itself: the threads of its BLAS spin on after a call and halve the speed of what
    # PyTorch multiplies next.
    return torch.linalg.eigvalsh((matrix + matrix.mT) / 2)


def relative_change(theta: Tensor, theta0: Tensor) -> float:
    """‖Θ − Θ₀‖_F / ‖Θ₀‖_F.

    >>> relative_change(torch.eye(4) * 1.5, torch.eye(4))
    0.5
    """
    reference = theta0.double()
    return ((theta.double() - reference).norm() / reference.norm()).item()


def alignment(theta: Tensor, targets: Tensor) -> float:
    """Centred kernel alignment with the targets (Cortes, Mohri, Rostamizadeh 2012, eq. 4).

    ⟨HΘH, H y yᵀ H⟩_F / (‖HΘH‖_F ‖H y yᵀ H‖_F) with H = I − 11ᵀ/N. Of an (N, N, O, O) kernel the mean over outputs
    counts.

    Args:
        theta: (N, N) or (N, N, O, O).
        targets: y, (N,) or (N, classes), such as one-hot labels.

    Raises:
        InvalidValue: the targets are not one row for each example, or numbers of more than two classes.

    >>> y = torch.tensor([1.0, -1.0, 1.0])
    >>> round(alignment(torch.outer(y, y), y), 6)
    1.0
    """
    kernel = mean_over_outputs(theta).double()
    y = targets.double().reshape(len(targets), -1)
    if kernel.shape != (len(y), len(y)):
        raise InvalidValue("targets", tuple(targets.shape), f"one row for each of the kernel's {len(kernel)} examples")
    if targets.dim() == 1 and not targets.is_floating_point() and len(targets.unique()) > 2:
        raise InvalidValue("targets", "numbers of classes", "one-hot labels (N, classes), or floating-point numbers")
    y = y - y.mean(0)
    kernel = kernel - kernel.mean(0, keepdim=True)
    kernel = kernel - kernel.mean(1, keepdim=True)
    return ((y * (kernel @ y)).sum() / (kernel.norm() * (y.mT @ y).norm())).item()  # ‖yyᵀ‖ = ‖yᵀy‖


def rounding(spectrum: Tensor, theta: Tensor) -> float:
    """What the least of the `eigenvalues` of Θ may be off by; below it, it may as well be zero.

    Entries, which are at most max Θᵢᵢ, are rounded to Θ's dtype, each by itself. That adds a random symmetric matrix,
    whose norm grows with the root of its size (Wigner 1958): at most ε √(N·O) max Θᵢᵢ. The solver adds ε N·O λ_max of
    float64.
    """
    size, diagonal = len(spectrum), theta.diagonal() if theta.dim() == 2 else theta.diagonal().diagonal()
    entries = torch.finfo(theta.dtype).eps * size**0.5 * diagonal.max().item()
    return entries + torch.finfo(torch.float64).eps * size * spectrum[-1].item()


def condition_number(spectrum: Tensor, theta: Tensor) -> float:
    """λ_max / λ_min, of the `eigenvalues` of Θ; infinite where λ_min is not above their `rounding`.

    >>> condition_number(torch.tensor([2.0, 8.0]), torch.diag(torch.tensor([2.0, 8.0])))
    4.0
    """
    return (spectrum[-1] / spectrum[0]).item() if spectrum[0] > rounding(spectrum, theta) else float("inf")


def effective_rank(spectrum: Tensor) -> float:
    """exp(−Σ pᵢ log pᵢ) with pᵢ = λᵢ/Σλ, the exponential of the spectral entropy (Roy & Vetterli 2007).

    >>> round(effective_rank(torch.ones(5)), 6)
    5.0
    """
    spectrum = spectrum.clamp(min=0)  # rounding can put a zero eigenvalue below zero
    p = spectrum / spectrum.sum()
    return torch.special.entr(p).sum().exp().item()


def offdiagonal(theta: Tensor) -> float:
    """‖blocks between different outputs‖_F / ‖Θ‖_F, in [0, 1], of an (N, N, O, O) kernel.

    Raises:
        InvalidValue: a kernel without pairs of outputs.

    >>> round(offdiagonal(torch.ones(3, 3, 2, 2)), 4)  # √½: half of the entries
    0.7071
    """
    if theta.dim() != 4:
        raise InvalidValue("theta", tuple(theta.shape), "a kernel of shape (N, N, O, O)")
    total = theta.double().square().sum()
    same_output = theta.diagonal(dim1=2, dim2=3).double().square().sum()
    return ((total - same_output).clamp(min=0) / total).sqrt().item()
