"""Both parameterizations are the same functions at initialization, with other gradients."""

import math

import pytest
import torch
from factors import generator, inputs
from scipy import stats

from orthontk.init import SCHEMES, initialize
from orthontk.networks import CNN, FCN

WEIGHT_VAR, BIAS_VAR = 1.3, 0.4


def fcn(parameterization, **options):
    return FCN(12, 3, 16, 4, weight_var=WEIGHT_VAR, bias_var=BIAS_VAR, parameterization=parameterization, **options)


def cnn(parameterization, **options):
    scales = {"weight_var": WEIGHT_VAR, "bias_var": BIAS_VAR, "parameterization": parameterization}
    return CNN(3, (5, 4), 3, 6, 4, **scales, **options)


BUILDS = {
    "fcn": (fcn, {}, (7, 12)),
    "cnn circular flatten": (cnn, {}, (7, 3, 5, 4)),
    "cnn zeros pool": (cnn, {"padding": "zeros", "readout": "pool"}, (7, 3, 5, 4)),
}
WITH_SCHEMES = [
    (kind, scheme) for kind in BUILDS for scheme in SCHEMES if (kind, scheme) != ("fcn", "delta_orthogonal")
]


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("kind, scheme", WITH_SCHEMES)
def test_one_generator_state_gives_one_function(kind, scheme, coupled):
    build, options, shape = BUILDS[kind]
    nets = [initialize(build(p, **options).double(), scheme, generator(), coupled=coupled) for p in ("ntk", "standard")]
    ntk, standard = (net(inputs(*shape)) for net in nets)
    assert torch.allclose(ntk, standard, rtol=1e-12, atol=1e-12) and ntk.std() > 0.1
    for a, b in zip(nets[0].layers, nets[1].layers, strict=True):
        assert torch.allclose(a.weight * math.sqrt(WEIGHT_VAR / a.weight[0].numel()), b.weight, rtol=1e-13)
        assert torch.allclose(a.bias * math.sqrt(BIAS_VAR), b.bias, rtol=1e-13)


@pytest.mark.parametrize("kind", BUILDS)
def test_gradients_differ_by_the_scale_that_moved_into_the_layer(kind):
    build, options, shape = BUILDS[kind]
    nets = [initialize(build(p, **options).double(), "orthogonal", generator()) for p in ("ntk", "standard")]
    for net in nets:
        net(inputs(*shape)).square().sum().backward()
    for ntk, standard in zip(nets[0].layers, nets[1].layers, strict=True):
        scale = math.sqrt(WEIGHT_VAR / ntk.weight[0].numel())
        assert torch.allclose(ntk.weight.grad, scale * standard.weight.grad, rtol=1e-9, atol=1e-11)
        assert torch.allclose(ntk.bias.grad, math.sqrt(BIAS_VAR) * standard.bias.grad, rtol=1e-9, atol=1e-11)


def test_without_bias_variance_a_bias_is_inert_under_ntk_and_trained_under_standard():
    for parameterization, trained in (("ntk", False), ("standard", True)):
        net = FCN(4, 2, 6, 3, bias_var=0, parameterization=parameterization)
        initialize(net, "gaussian", generator())
        net(torch.ones(2, 4)).square().sum().backward()
        assert all(bool(layer.bias.grad.any()) == trained for layer in net.layers)
        outputs = net(torch.ones(2, 4)).detach()
        for layer in net.layers:
            layer.bias.data.fill_(1)
        assert torch.equal(net(torch.ones(2, 4)), outputs) != trained


@pytest.mark.parametrize("kind, scheme", WITH_SCHEMES)
def test_independent_draws_give_one_function_distribution(kind, scheme):
    """Outputs at two inputs, their product and their difference: Kolmogorov–Smirnov p > 10⁻³ over 200 draws each."""
    build, options, shape = BUILDS[kind]
    x = inputs(2, *shape[1:])

    def outputs(parameterization, seed):
        net, source = build(parameterization, **options).double(), generator(seed)
        with torch.no_grad():
            return torch.stack([initialize(net, scheme, source)(x)[:, 0] for _ in range(200)])  # (200, 2)

    ntk, standard = outputs("ntk", 0), outputs("standard", 1)
    for statistic in (lambda f: f[:, 0], lambda f: f[:, 1], lambda f: f.prod(1), lambda f: f[:, 0] - f[:, 1]):
        assert stats.ks_2samp(statistic(ntk), statistic(standard)).pvalue > 1e-3
    assert stats.ks_2samp(ntk[:, 0], 1.5 * standard[:, 0] + 0.5).pvalue < 1e-3  # what a wrong scale would show


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("kind, scheme", [pair for pair in WITH_SCHEMES if pair[0] != "cnn zeros pool"])
def test_second_moment_of_a_linear_network(kind, scheme, parameterization):
    """E f² follows q¹ = σ_w²|x|²/n₀ + σ_b², q → σ_w² q + σ_b² at every width, and is alike for all schemes.

    Circular padding keeps the mean over positions, and so does a delta kernel.
    """
    build, options, shape = BUILDS[kind]
    x = inputs(16, *shape[1:])
    q = x.square().flatten(1).mean(1)  # (16,)
    for _ in range(4):
        q = WEIGHT_VAR * q + BIAS_VAR
    net, source = build(parameterization, activation="identity", **options).double(), generator()
    with torch.no_grad():
        draws = (initialize(net, scheme, source)(x) for _ in range(300))  # (16, 3) each
        ratios = torch.stack([(f.square() / q[:, None]).mean() for f in draws])
    standard_error = float(ratios.std()) / math.sqrt(len(ratios))
    assert abs(float(ratios.mean()) - 1) < 4 * standard_error
    assert standard_error < 0.04
