"""Precision, refusals, compiled and autocast models: what a call guarantees besides its numbers."""

import random

import numpy as np
import pytest
import torch
from drawn import gaussian, inputs
from naive_ntk import naive_ntk
from torch import nn
from torch.utils.checkpoint import checkpoint

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import NTKOperator, empirical_ntk, explain_ntk
from orthontk.kernels.measures import eigenvalues
from orthontk.kernels.precision import SETTINGS
from orthontk.kernels.problem import OUTPUTS
from orthontk.networks import CNN, FCN


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("duplicates", [False, True])
def test_symmetric_and_positive_semidefinite_to_rounding(outputs, dtype, duplicates):
    net = gaussian(FCN(12, 4, width=64, depth=4, weight_var=1.5, bias_var=0.1))
    x = inputs(30, 12).to(dtype)
    x[15:] = x[:15] if duplicates else x[15:]  # an exactly singular kernel
    theta = empirical_ntk(net.to(dtype), x, outputs=outputs)
    assert torch.equal(theta, theta.transpose(0, 1).transpose(2, 3) if outputs == "full" else theta.T)
    spectrum = eigenvalues(theta)
    assert spectrum[0] >= -spectrum[-1] * torch.finfo(dtype).eps * 4
    if not duplicates:
        assert spectrum[0] > 0


@pytest.mark.parametrize("net", [FCN(12, 3, width=200, depth=4), CNN(2, 8, 3, width=16, depth=3)])
def test_float32_is_within_its_rounding_of_float64(net):
    gaussian(net)
    x = inputs(10, *((12,) if isinstance(net, FCN) else (2, 8, 8)))
    exact = naive_ntk(net, x)
    theta = empirical_ntk(net.float(), x.float())
    assert theta.dtype == torch.float32
    assert (theta - exact).norm() <= 3e-7 * exact.norm()


def test_low_precision_is_off_inside_and_restored_outside(monkeypatch):
    seen = []

    class Watching(FCN):
        def forward(self, x):
            seen.append([getattr(place, name) for place, name, _ in SETTINGS])
            return super().forward(x)

    net = Watching(4, 2, width=5, depth=2)
    initialize(net, "gaussian", torch.Generator().manual_seed(0))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        outside = [getattr(place, name) for place, name, _ in SETTINGS]
        empirical_ntk(net, torch.ones(3, 4))
        assert [getattr(place, name) for place, name, _ in SETTINGS] == outside
        assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(InvalidValue):
            empirical_ntk(net, torch.ones(3, 5))
        assert [getattr(place, name) for place, name, _ in SETTINGS] == outside
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen and all(values == [exact for _, _, exact in SETTINGS] for values in seen)


def test_a_bfloat16_network_is_computed_in_float32():
    net = initialize(FCN(4, 2, width=5, depth=3), "gaussian", torch.Generator().manual_seed(0)).bfloat16()
    x = inputs(3, 4).bfloat16()
    theta = empirical_ntk(net, x)
    assert theta.dtype == torch.float32
    torch.testing.assert_close(theta.double(), naive_ntk(net.double(), x.double()), rtol=1e-5, atol=1e-5)


class OwnTypes(nn.Module):
    """Computes its layers in their own types, whatever it is given."""

    def __init__(self, first: torch.dtype, second: torch.dtype) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 2, dtype=first), nn.Linear(4, 2, dtype=second)
        self.types = first, second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.first(x.to(self.types[0])).double() + self.second(x.to(self.types[1])).double()


@pytest.mark.parametrize(
    ("types", "dtype"),
    [((torch.float32, torch.float32), torch.float64), ((torch.float64, torch.float32), None)],
)
def test_a_network_that_casts_is_refused_in_another_type(types, dtype):
    with pytest.raises(InvalidValue, match="net=OwnTypes: expected a network that can be computed in"):
        empirical_ntk(OwnTypes(*types), inputs(3, 4), dtype=dtype)
    if types[0] == types[1]:
        assert empirical_ntk(OwnTypes(*types), inputs(3, 4)).dtype == torch.float32


@pytest.mark.parametrize("whole", [True, False])
def test_a_compiled_network_gives_the_same_kernel(whole):
    net = gaussian(FCN(4, 2, width=5, depth=3))
    x = inputs(3, 4)
    expected = empirical_ntk(net, x)
    if whole:
        compiled = torch.compile(net)
    else:
        net.layers[1].compile()
        compiled = net
    assert torch.equal(empirical_ntk(compiled, x), expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_that_are_off_around_the_call_are_on_inside(mode):
    net = gaussian(FCN(4, 2, width=5, depth=3))
    expected = empirical_ntk(net, inputs(3, 4))
    with mode():
        assert torch.equal(empirical_ntk(net, inputs(3, 4)), expected)
        assert not torch.is_grad_enabled()


def test_autocast_around_the_call_changes_nothing():
    net = gaussian(FCN(4, 2, width=5, depth=3)).float()
    x = inputs(3, 4).float()
    expected = empirical_ntk(net, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(empirical_ntk(net, x), expected)
        assert torch.is_autocast_enabled("cpu")


def test_autocast_inside_the_network_is_refused():
    class LowPrecision(FCN):
        def forward(self, x):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return super().forward(x).float()

    net = LowPrecision(4, 2, width=5, depth=3)
    with pytest.raises(InvalidValue, match=r"bfloat16.*autocast"):
        empirical_ntk(net, torch.ones(3, 4))


class Plain(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(4, 2), function

    def forward(self, x):
        return self.function(self.layer(x))


class OutOfReach(nn.Linear):
    """Uses its weight through a list, where no stand-in can take its place."""

    def __init__(self) -> None:
        super().__init__(4, 2)
        self.weights = [self.weight]

    def forward(self, x):
        return nn.functional.linear(x, self.weights[0], self.bias)


REFUSED = {
    "BatchNorm in training mode": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)),
        r"1=BatchNorm1d: .*eval\(\)",
    ),
    "BatchNorm without running statistics": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, track_running_stats=False)).eval(),
        "1=BatchNorm1d",
    ),
    "functional batch norm": (
        lambda: Plain(lambda z: nn.functional.batch_norm(z, None, None, training=True)),
        r"eval\(\)",
    ),
    "Dropout in training mode": (lambda: nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)), r"1=Dropout.*eval\(\)"),
    "functional dropout": (lambda: Plain(nn.functional.dropout), r"random.*eval\(\)"),
    "noise": (lambda: Plain(lambda z: z + torch.randn_like(z)), "random"),
    "noise of NumPy": (lambda: Plain(lambda z: z * np.random.standard_normal()), "random"),
    "noise of Python": (lambda: Plain(lambda z: z * random.random()), "random"),
    "parameters out of reach": (OutOfReach, "attributes of modules"),
    "a mean over examples": (lambda: Plain(lambda z: z - z.mean(0)), "apart"),
    "a lazy module that was never called": (lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(2)), "1=LazyLinear"),
    "lazy buffers": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.LazyBatchNorm1d(affine=False)).eval(),
        "1=LazyBatchNorm1d",
    ),
    "integers": (lambda: Plain(torch.Tensor.long), "int64 outputs.*floating-point"),
    "truth values": (lambda: Plain(lambda z: z > 0), "bool outputs.*floating-point"),
    "complex numbers": (lambda: Plain(lambda z: z + 0j), "complex64 outputs.*floating-point"),
    "no outputs": (lambda: Plain(lambda z: z[:, :0]), "at least one for each example"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("compute", [empirical_ntk, explain_ntk, NTKOperator])
def test_networks_without_a_kernel_of_single_examples_are_refused(name, compute, seeded):
    make, message = REFUSED[name]
    net, state = make(), torch.random.get_rng_state()
    with pytest.raises(InvalidValue, match=message):
        compute(net, torch.randn(5, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)).eval(),
        nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.0)).train(),
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4).eval()),
        Plain(lambda z: z - z.mean(1, keepdim=True)),
    ],
)
def test_their_valid_neighbours_run(net):
    net.double()
    torch.testing.assert_close(empirical_ntk(net, inputs(5, 4)), naive_ntk(net, inputs(5, 4)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "arguments",
    [{"x1": torch.zeros(0, 4)}, {"x2": torch.zeros(0, 4)}, {"x1": [1.0]}, {"dtype": torch.float16}],
)
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(InvalidValue, match=next(iter(arguments))):
        empirical_ntk(nn.Linear(4, 2), **{"x1": torch.ones(3, 4), **arguments})


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_is_refused(reentrant):
    class Checkpointed(Plain):
        def forward(self, x):
            return checkpoint(lambda h: torch.tanh(self.layer(h)), x.requires_grad_(), use_reentrant=reentrant)

    net = Checkpointed(None).double()
    with pytest.raises(InvalidValue, match=r"torch\.utils\.checkpoint.*memory_limit"):
        empirical_ntk(net, inputs(3, 4))


def test_finite_differences():
    """Θ(x, x')ₐᵦ is the rate of change of fₐ(x) when the parameters move along the gradient of fᵦ(x')."""
    net = gaussian(FCN(4, 2, width=6, depth=3, weight_var=1.5, bias_var=0.2))
    x, step = inputs(3, 4), 1e-5
    theta = empirical_ntk(net, x)
    for j, b in ((0, 1), (2, 0)):
        gradients = torch.autograd.grad(net(x)[j, b], list(net.parameters()))

        def moved(distance, gradients=gradients):
            with torch.no_grad():
                for p, g in zip(net.parameters(), gradients, strict=True):
                    p += distance * g
                outputs = net(x)
                for p, g in zip(net.parameters(), gradients, strict=True):
                    p -= distance * g
            return outputs

        rate = (moved(step) - moved(-step)) / (2 * step)  # (N, O)
        torch.testing.assert_close(theta[:, j, :, b], rate, rtol=1e-7, atol=1e-7)


def test_monte_carlo_mean_of_a_one_hidden_layer_network():
    """E Θ over Gaussian draws of f = σ_w/√n W² z¹: E|z¹|²/n + σ_w⁴... for a linear network in closed form.

    For depth 2, identity activation, weight_var 1 and no bias: Θ(x,x') = x·x'/n₀ (1/n) Σ_k ‖W²‖² + h·h'/n, whose mean
    is 2 x·x'/n₀ on the diagonal of the outputs and 0 off it, whatever the width.
    """
    x = inputs(3, 5)
    net = FCN(5, 2, width=16, depth=2, activation="identity", weight_var=1.0, bias_var=0.0).double()
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([empirical_ntk(initialize(net, "gaussian", generator), x) for _ in range(400)])
    expected = 2 * (x @ x.T / 5)[:, :, None, None] * torch.eye(2, dtype=torch.float64)
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - expected).abs() <= 4.5 * error + 1e-12).all()
