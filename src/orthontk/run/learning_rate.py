"""`optimizer.lr_fraction`: the learning rate as a share of the largest stable one."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig
from scipy.sparse.linalg import eigsh
from torch import Tensor, nn
from torch.optim import Optimizer

from orthontk.checks import InvalidValue, number
from orthontk.data import TensorDataModule
from orthontk.dynamics.stability import rate_factor
from orthontk.inheritance import runs_as
from orthontk.kernels import NTKOperator
from orthontk.run.resolved import resolved
from orthontk.run.settings import naming
from orthontk.training import OneHotMSE
from orthontk.training.heavy_ball import heavy_ball
from orthontk.training.losses import is_mean_cross_entropy

SAMPLE = 1000  # inputs that λ_max/N is estimated on for minibatches
BATCH = 250  # inputs in one pass of the operator
KNOWN = "sgd and momentum without weight decay or Nesterov's step, mse or cross_entropy, and deterministic networks"
TOLERANCE = 1e-3  # of the eigenpair's residual, relative: the eigenvalue's error is at most that, and mostly its square


def optimizer_of(config: DictConfig) -> Callable[[Any], Optimizer]:
    """From parameters to the optimizer, which takes no `lr_fraction` and whose checkpoints have plain lists."""
    return instantiate(resolved(config.optimizer, "lr_fraction"), _convert_="all")


def lr_of_fraction(config: DictConfig, network: nn.Module, data: TensorDataModule) -> float:
    """`optimizer.lr_fraction` of the largest stable learning rate of `network` as it is initialized.

    N/λ_max(Θ)·(1+β) for MSE, and the bound 4N/λ_max(Θ)·(1+β) for cross-entropy, Θ on the N training inputs. λ_max/N
    hardly depends on N, and a minibatch's own is no smaller on average: with minibatches it is taken from a
    sample of at least 1,000 inputs, class-balanced where the classes are large enough.

    Raises:
        InvalidValue: Adam and others that no such rate is known of, weight decay, another loss, a network with Dropout
            or BatchNorm, or a kernel that is zero or not finite.
    """
    fraction = number("optimizer.lr_fraction", config.optimizer.lr_fraction, above=0)
    with naming("optimizer"):
        optimizer = optimizer_of(config)
    try:
        largest = largest_stable_lr_of(instantiate(config.loss), optimizer, network, data)
    except InvalidValue as error:
        accepted = f"null with {error.name}={error.value}, as a largest stable learning rate is known for {KNOWN} only"
        raise InvalidValue("optimizer.lr_fraction", fraction, accepted) from error
    if not math.isfinite(largest):
        kernel = "zero" if largest == math.inf else "not finite"
        accepted = f"null, as the kernel of this network at initialization is {kernel}"
        raise InvalidValue("optimizer.lr_fraction", fraction, accepted)
    return fraction * largest


def largest_stable_lr_of(
    loss: nn.Module, optimizer: Callable[[Any], Optimizer], network: nn.Module, data: TensorDataModule
) -> float:
    """N/λ_max(Θ)·(1+β), or the bound that cross-entropy has; infinite for a kernel of zeros, NaN for no finite one.

    Args:
        optimizer: from parameters to an optimizer.

    Raises:
        InvalidValue: an optimizer or a loss that none is known of.
    """
    factor, top = rate_factor_of(loss, optimizer, network), mean_top_eigenvalue(network, inputs_of(data))
    return factor / top if top != 0 else math.inf


def rate_factor_of(loss: nn.Module, optimizer: Callable[[Any], Optimizer], network: nn.Module) -> float:
    """The `rate_factor` of a run's loss and optimizer; refusals as in `largest_stable_lr_of`."""
    momentum = heavy_ball(optimizer(network.parameters())).momentum
    if runs_as(loss, OneHotMSE):
        return rate_factor("mse", momentum)
    if is_mean_cross_entropy(loss):
        return rate_factor("cross_entropy", momentum)
    raise InvalidValue("loss", type(loss).__name__, "mean squared error or cross-entropy")


def inputs_of(data: TensorDataModule) -> Tensor:
    """All training inputs under full-batch gradient descent, or a sample of them, class-balanced where it can be."""
    if data.batch_size == "full":
        return data.train.images
    size = min(len(data.train), max(SAMPLE, data.batch_size))
    try:
        return data.probe(size)[0]
    except InvalidValue:  # some class has too few
        return data.part("train", slice(size)).images


def mean_top_eigenvalue(network: nn.Module, x: Tensor) -> float:
    """λ_max(Θ)/N by Lanczos on products with Θ, which is never formed; NaN if Θ is not finite."""
    operator = NTKOperator(network, x, batch_size=BATCH)
    if operator.shape[0] == 1:  # fewer than Lanczos begins with
        top = float(operator.matvec(np.ones(1, operator.dtype))[0])
        return top if math.isfinite(top) else math.nan
    start = np.random.default_rng(0).standard_normal(operator.shape[0]).astype(operator.dtype)
    product = operator.matvec(start)
    if not np.isfinite(product).all():
        return math.nan
    if not product.any():
        return 0.0
    options: dict[str, Any] = {"v0": start, "tol": TOLERANCE, "return_eigenvectors": False}
    return float(eigsh(operator, k=1, ncv=min(8, operator.shape[0]), **options)[0]) / len(x)
