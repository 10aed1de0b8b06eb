"""Memory that runs out is not taken for an operation that torch does not know."""

import re

import pytest
import torch
from function_network import Net, two_layers
from torch import Tensor

from orthontk.kernels import NTKOperator, empirical_ntk


def exhaust() -> None:
    torch.empty(10**15)  # more than addresses reach


class ExhaustsInSecondDerivatives(torch.autograd.Function):
    """Without forward mode."""

    @staticmethod
    def forward(ctx, h: Tensor) -> Tensor:
        return h.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            exhaust()
        return gradient


def in_its_first_pass(net, x):
    net.calls.append(1)
    if len(net.calls) == 1:
        exhaust()
    return net.readout(net.first(x))


def under_transforms(net, x):
    if torch._C._functorch.is_functorch_wrapped_tensor(net.first.weight):
        exhaust()
    return net.readout(torch.einsum("oi,ni->no", net.first.weight, x))


def in_second_derivatives(net, x):
    return net.readout(ExhaustsInSecondDerivatives.apply(net.first(x)))


@pytest.mark.parametrize(
    ("compute", "function"),
    [
        (empirical_ntk, in_its_first_pass),
        (empirical_ntk, under_transforms),
        (NTKOperator, under_transforms),
        (lambda net, x: NTKOperator(net, x) @ torch.ones(15).numpy(), in_second_derivatives),
    ],
)
def test_memory_that_runs_out_is_told_as_such(compute, function):
    with pytest.raises(RuntimeError, match="memory"):
        compute(Net(function, **two_layers(), calls=[]), torch.ones(5, 4))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_so_is_a_gpus(error):
    def function(net, x):
        net.calls.append(1)
        if len(net.calls) == 1:
            raise error
        return net.readout(net.first(x))

    with pytest.raises(RuntimeError, match=re.escape(str(error))):
        empirical_ntk(Net(function, **two_layers(), calls=[]), torch.ones(5, 4))
