"""The operator against the kernel itself."""

import numpy as np
import pytest
import torch
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import NTKOperator, empirical_ntk, ntk_and_layer_shares
from orthontk.kernels.measures import eigenvalues, flatten_outputs
from orthontk.networks import CNN, FCN


def problem(kind: str):
    generator = torch.Generator().manual_seed(1)
    if kind == "FCN":
        net, shape = FCN(20, 3, width=30, depth=3, weight_var=1.5, bias_var=0.1), (20,)
    else:
        net, shape = CNN(2, 4, 3, width=6, depth=3, weight_var=1.5, bias_var=0.1), (2, 4, 4)
    x = torch.randn(12, *shape, generator=generator, dtype=torch.float64)
    return initialize(net.double(), "gaussian", generator), x


@pytest.mark.parametrize("batch_size", [None, 5])
@pytest.mark.parametrize("kind", ["FCN", "CNN"])
def test_products_are_the_kernels(kind, batch_size):
    net, x = problem(kind)
    theta = flatten_outputs(empirical_ntk(net, x)).numpy()
    operator = NTKOperator(net, x, batch_size=batch_size)
    assert operator.shape == theta.shape and operator.dtype == np.float64
    vectors = np.random.default_rng(0).standard_normal((len(theta), 3))
    np.testing.assert_allclose(operator @ vectors, theta @ vectors, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(operator.T @ vectors[:, 0], theta @ vectors[:, 0], rtol=1e-10, atol=1e-10)


def test_eigenvalues():
    net, x = problem("FCN")
    exact = np.linalg.eigvalsh(flatten_outputs(empirical_ntk(net, x)).numpy())[::-1]
    estimates = NTKOperator(net, x).eigenvalues(4)
    np.testing.assert_allclose([e.value for e in estimates], exact[:4], rtol=1e-9)
    assert all(e.error < 1e-6 * exact[0] for e in estimates)


def test_trace_and_logdet_estimates_cover_the_exact_values():
    net, x = problem("FCN")
    x = x[:6]
    theta = flatten_outputs(empirical_ntk(net, x)).numpy()
    operator = NTKOperator(net, x)
    trace = operator.trace(probes=100)
    assert abs(trace.value - np.trace(theta)) < 4 * trace.error < 0.3 * np.trace(theta)
    for ridge in (0.0, 0.5):
        exact = np.linalg.slogdet(theta + ridge * np.eye(len(theta)))[1]
        estimate = operator.logdet(ridge, probes=50, steps=18)
        assert abs(estimate.value - exact) < 4 * estimate.error < 4


@pytest.fixture
def large():
    """An operator whose kernel has more rows than `logdet` takes steps, and the kernel."""
    net, _ = problem("FCN")
    x = torch.randn(60, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    operator, theta = NTKOperator(net, x), flatten_outputs(empirical_ntk(net, x)).numpy()
    operator._matvec = lambda v: theta @ v.ravel()  # the same, faster
    return operator, theta


def test_errors_are_those_of_many_seeds(large):
    operator, theta = large
    exact = {"trace": np.trace(theta), "logdet": np.linalg.slogdet(theta)[1]}
    for name, value in exact.items():
        estimates = [getattr(operator, name)(probes=16, seed=seed) for seed in range(30)]
        z = np.array([(estimate.value - value) / estimate.error for estimate in estimates])
        assert abs(z.mean()) < 3 / 30**0.5 and 0.6 < z.std() < 1.6


def test_too_few_steps_give_too_large_a_logdet(large):
    """As Gauss quadrature of a logarithm does, whatever the probe: it converges from above."""
    operator, _ = large
    values = [operator.logdet(steps=steps).value for steps in (3, 5, 10, 180)]
    assert values == sorted(values, reverse=True) and values[0] > values[-1] + 10


@pytest.mark.parametrize("ridge", [0.0, 1e-6])
def test_the_error_of_a_logdet_covers_its_quadrature(ridge):
    """Of a condition number of 10⁶, for which a few steps are too few."""
    spectrum = np.geomspace(1e-6, 1, 200)
    vectors = np.linalg.qr(np.random.default_rng(0).standard_normal((200, 200)))[0]
    operator, exact = NTKOperator(nn.Linear(3, 1).double(), torch.ones(200, 3)), np.log(spectrum + ridge).sum()
    operator._matvec = lambda v: (vectors * spectrum) @ (vectors.T @ v.ravel())
    for seed in range(4):
        estimates = [operator.logdet(ridge, probes=4, steps=steps, seed=seed) for steps in (10, 40, 200)]
        assert all(abs(estimate.value - exact) < 3 * estimate.error for estimate in estimates)
        errors = [estimate.error for estimate in estimates]
        assert errors == sorted(errors, reverse=True) and errors[-1] < 60  # the probes' alone, about 40


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("cause", ["few parameters", "one input twice", "no slope"])
def test_the_logdet_of_a_singular_kernel_needs_a_ridge(dtype, cause, seeded):
    net, x = nn.Linear(3, 2).to(dtype), torch.randn(6, 3, dtype=dtype)
    if cause == "one input twice":
        net, x = nn.Sequential(nn.Linear(3, 30), nn.Tanh(), nn.Linear(30, 1)).to(dtype), x[[0, 1, 2, 3, 4, 0]]
    if cause == "no slope":
        net, x = nn.Sequential(nn.Linear(3, 1), nn.Threshold(1e3, 0.0)).to(dtype), x[:2]
    operator = NTKOperator(net, x)
    for ridge in (0.0,) if cause == "no slope" else (0.0, 1e-30):
        with pytest.raises(InvalidValue, match=r"ridge=.*singular"):
            operator.logdet(ridge)
    exact = np.linalg.slogdet(
        operator @ np.eye(operator.shape[0], dtype=operator.dtype) + 0.1 * np.eye(len(x) * net(x).shape[1])
    )[1]
    estimate = operator.logdet(0.1)
    assert abs(estimate.value - exact) <= 4 * estimate.error + 1e-6


def test_estimates_repeat_with_their_seed():
    net, x = problem("FCN")
    operator = NTKOperator(net, x)
    assert operator.trace(4, seed=1) == operator.trace(4, seed=1) != operator.trace(4, seed=2)


@pytest.mark.parametrize(
    ("estimate", "options", "counted"),
    [("trace", {"probes": 5}, "5/5"), ("logdet", {"probes": 2}, "8/8"), ("eigenvalues", {}, "8it")],
)
def test_progress_counts_products(estimate, options, counted, seeded, capfd):
    method = getattr(NTKOperator(nn.Linear(3, 1), torch.randn(4, 3)), estimate)
    assert method(**options) == method(**options, progress=True)
    assert counted in capfd.readouterr().err


def test_refused():
    net, x = problem("FCN")
    with pytest.raises(InvalidValue, match="batch_size"):
        NTKOperator(net, x, batch_size=0)
    with pytest.raises(InvalidValue, match="probes"):
        NTKOperator(net, x).trace(1)
    with pytest.raises(InvalidValue, match="ridge"):
        NTKOperator(net, x).logdet(-1)
    for estimate in ("eigenvalues", "trace", "logdet"):
        with pytest.raises(InvalidValue, match="seed=-1"):
            getattr(NTKOperator(net, x), estimate)(seed=-1)


@pytest.mark.parametrize("estimate", ["eigenvalues", "trace", "logdet"])
def test_a_kernel_that_is_not_finite_is_refused(estimate, capfd):
    operator = NTKOperator(nn.Linear(3, 2), torch.full((6, 3), torch.nan))
    with pytest.raises(InvalidValue, match="net=a kernel that is not finite"):
        getattr(operator, estimate)()
    assert capfd.readouterr() == ("", "")  # LAPACK prints


@pytest.mark.parametrize("examples", [1, 3])
def test_a_kernel_of_few_rows_has_all_its_eigenvalues(examples, seeded):
    net, x = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double(), torch.randn(examples, 4).double()
    estimates = NTKOperator(net, x).eigenvalues()
    exact = eigenvalues(empirical_ntk(net, x)).flip(0)
    np.testing.assert_allclose([estimate.value for estimate in estimates], exact, rtol=1e-12)
    assert all(estimate.error < 1e-12 * exact[0] for estimate in estimates)


def test_a_network_whose_kernel_has_no_tile_that_fits(seeded):
    """In the fallback, a single example's gradients by all outputs would take 8 GB."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent, self.readout = nn.LSTM(64, 256, batch_first=True), nn.Linear(256, 2000)

        def forward(self, x):
            return self.readout(self.recurrent(x)[0][:, -1])

    net, x = Recurrent(), torch.randn(2, 3, 64)
    operator = NTKOperator(net, x, batch_size=1)
    v = np.zeros(4000, np.float32)
    v[7] = 1
    outputs = net(x)
    gradient = torch.autograd.grad(outputs[0, 7], [*net.parameters()])
    squared = sum(part.square().sum() for part in gradient).item()
    assert (operator @ v)[7] == pytest.approx(squared, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [6, 12])
def test_every_copy_of_an_eigenvalue_is_found(dtype, count):
    """Of a linear network each eigenvalue is there once for each output."""
    torch.manual_seed(0)
    net, x = nn.Linear(20, 10).to(dtype), torch.randn(12, 20, dtype=dtype)
    exact = eigenvalues(empirical_ntk(net, x)).flip(0)[:count]
    for seed in range(5):
        found = [estimate.value for estimate in NTKOperator(net, x).eigenvalues(count, seed=seed)]
        np.testing.assert_allclose(found, exact, rtol=1e-4)


def test_a_kernel_of_zeros_has_eigenvalues_of_0():
    net = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU(), nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        net[0].weight.fill_(-1)
    assert [tuple(estimate) for estimate in NTKOperator(net, torch.ones(3, 3)).eigenvalues(2)] == [(0, 0), (0, 0)]


def test_hooks_on_parameters_are_not_called():
    """The kernel is that of the network's function, in which other tensors stand in for them."""
    net, x, vector = nn.Linear(4, 2), torch.ones(3, 4), np.ones(6, np.float32)
    expected, product = empirical_ntk(net, x), NTKOperator(net, x) @ vector
    for p in net.parameters():
        p.register_hook(lambda gradient: 0.5 * gradient)
    assert torch.equal(empirical_ntk(net, x), expected)
    assert np.array_equal(NTKOperator(net, x) @ vector, product)


@pytest.mark.parametrize("blank", [False, True])
@pytest.mark.parametrize("place", ["module", "tensor"])
def test_hooks_on_gradients_are_followed(place, blank):
    """Forward mode does not see them, so products would not be those of a symmetric matrix; nor a blank image's."""

    class Hooked(nn.Tanh):
        def forward(self, x):
            h = super().forward(x)
            if place == "tensor" and h.requires_grad:
                h.register_hook(lambda gradient: 0.5 * gradient)
            return h

    generator = torch.Generator().manual_seed(2)
    net = nn.Sequential(nn.Linear(5, 7, bias=not blank), Hooked(), nn.Linear(7, 2)).double()
    if place == "module":
        net[1].register_full_backward_hook(lambda module, inputs, outputs: (0.5 * inputs[0],))
    x = torch.randn(6, 5, dtype=torch.float64, generator=generator)
    x[0] *= not blank
    theta = flatten_outputs(empirical_ntk(net, x)).numpy()
    vector = np.random.default_rng(0).standard_normal(len(theta))
    np.testing.assert_allclose(NTKOperator(net, x) @ vector, theta @ vector, rtol=1e-10, atol=1e-10)


class Halved(torch.autograd.Function):
    """Passes half of each gradient on, out of autograd's sight."""

    @staticmethod
    def forward(ctx, h):
        return h.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient.data * 0.5


def fixed_point(z: torch.Tensor) -> torch.Tensor:
    """A hook that solves for a gradient, as implicit layers do (Bai, Kolter, Koltun 2019, Theorem 1)."""
    z = z.clone()
    inner = z.detach().requires_grad_()
    outer = torch.tanh(0.5 * inner)

    def solve(gradient):
        total = gradient
        for _ in range(20):
            total = torch.autograd.grad(outer, inner, total, retain_graph=True)[0] + gradient
        return total

    if z.requires_grad:
        z.register_hook(solve)
    return z


@pytest.mark.parametrize("middle", [Halved.apply, fixed_point])
def test_backward_passes_that_have_no_derivative_are_refused(middle):
    class Net(nn.Sequential):
        def forward(self, x):
            return self[1](torch.tanh(middle(self[0](x))))

    net, x = Net(nn.Linear(4, 5), nn.Linear(5, 2)).double(), torch.randn(6, 4, dtype=torch.float64)
    assert empirical_ntk(net, x).isfinite().all()
    with pytest.raises(InvalidValue, match="forward mode or second derivatives; `empirical_ntk` needs neither"):
        NTKOperator(net, x)


@pytest.mark.parametrize(
    ("x", "refusal"), [(None, "^x=NoneType: "), (torch.ones(0, 3), "^x=empty: "), (torch.ones(2, 4), "that takes x, ")]
)
@pytest.mark.parametrize("compute", [NTKOperator, ntk_and_layer_shares])
def test_refused_inputs_are_named_as_its_own_argument(compute, x, refusal):
    with pytest.raises(InvalidValue, match=refusal):
        compute(nn.Linear(3, 2), x)
