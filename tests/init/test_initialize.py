"""`initialize`: coupling, reproducibility, custom schemes, refusals."""

import math

import pytest
import torch
from factors import assert_factor, generator
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.init import SCHEMES, initialize
from orthontk.networks import CNN, FCN, Conv, Dense

ORTHOGONAL = [name for name in SCHEMES if name != "gaussian"]


def fcn(parameterization="ntk", activation="tanh"):
    return FCN(24, 8, 32, 4, activation, 1.5, 0.2, parameterization).double()


def cnn(parameterization="ntk", activation="tanh"):
    return CNN(3, 4, 8, 12, 4, activation=activation, weight_var=1.5, bias_var=0.2, parameterization=parameterization)


def flat(net):
    return nn.utils.parameters_to_vector(net.parameters()).detach()


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def entries(net):
    return torch.cat([layer.weight.detach().flatten() for layer in net.layers])


def biases(net):
    return torch.cat([layer.bias.detach() for layer in net.layers])


@pytest.mark.parametrize("scheme", ORTHOGONAL)
@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_coupled_weights_are_the_factors_of_the_gaussian_ones(scheme, parameterization):
    gaussian = initialize(cnn(parameterization).double(), "gaussian", generator())
    coupled = initialize(cnn(parameterization).double(), scheme, generator(), coupled=True)
    for g, q in zip(gaussian.layers, coupled.layers, strict=True):
        assert torch.equal(g.bias, q.bias)
        assert_factor(matrices(g.weight / g.weight_std, scheme), matrices(q.weight / q.weight_std, scheme))


def matrices(weight, scheme):
    """The matrices of a weight that the scheme makes orthogonal, as a batch."""
    if weight.dim() == 2 or scheme == "flat_orthogonal":
        return weight.detach().flatten(1).unsqueeze(0)
    taps = weight.detach().permute(2, 3, 0, 1).flatten(0, 1)
    return taps[len(taps) // 2].unsqueeze(0) if scheme == "delta_orthogonal" else taps


@pytest.mark.parametrize("build", [fcn, cnn])
def test_uncoupled_networks_are_independent_of_the_gaussian_one(build):
    """Correlations of independent draws are within 5/√(number of entries); coupled ones are far above."""
    gaussian = initialize(build(), "gaussian", generator())
    uncoupled = initialize(build(), "orthogonal", generator())
    coupled = initialize(build(), "orthogonal", generator(), coupled=True)
    bound = 5 / math.sqrt(len(entries(gaussian)))
    assert abs(correlation(entries(gaussian), entries(uncoupled))) < bound
    assert correlation(entries(gaussian), entries(coupled)) > 0.5
    assert abs(correlation(biases(gaussian), biases(uncoupled))) < 5 / math.sqrt(len(biases(gaussian)))


@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_generator_alone_decides(scheme, coupled):
    def draw(seed):
        torch.rand(1)  # another global state on every call
        return flat(initialize(cnn(), scheme, generator(seed), coupled=coupled))

    assert torch.equal(draw(0), draw(0))
    assert not torch.isclose(draw(0), draw(1)).any() or scheme == "delta_orthogonal"  # whose zeros agree
    assert not torch.equal(draw(0), draw(1))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_generator_gives_fresh_networks(scheme):
    shared = generator()
    first, second = (flat(initialize(cnn(), scheme, shared)) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_a_generator_the_global_seed_decides(scheme):
    def draw(seed):
        torch.manual_seed(seed)
        return flat(initialize(cnn(), scheme))

    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))


def test_a_given_generator_leaves_the_global_state_alone():
    state = torch.get_rng_state()
    for scheme in SCHEMES:
        initialize(cnn(), scheme, generator())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_precision_gets_the_same_network_rounded(scheme, parameterization):
    exact = flat(initialize(cnn(parameterization).double(), scheme, generator()))
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        rounded = flat(initialize(cnn(parameterization).to(dtype), scheme, generator()))
        assert rounded.dtype == dtype and torch.equal(rounded, exact.to(dtype))


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
def test_gaussian_parameters_are_the_draws_times_their_standard_deviation(parameterization):
    net, source = initialize(fcn(parameterization), "gaussian", generator()), generator()
    for layer in net.layers:
        n_in = layer.weight.shape[1]
        weight_std, bias_std = (1, 1) if parameterization == "ntk" else (math.sqrt(1.5 / n_in), math.sqrt(0.2))
        for parameter, std in ((layer.weight, weight_std), (layer.bias, bias_std)):
            draw = torch.randn(parameter.shape, generator=source, dtype=torch.float64)
            assert torch.allclose(parameter, std * draw, rtol=1e-14)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("parameterization, variance", [("ntk", 1.0), ("standard", 0.2)])
def test_biases_are_gaussian_in_every_scheme(scheme, parameterization, variance):
    layer = Conv(1, 20_000, 1, bias_var=0.2, parameterization=parameterization).double()
    squares = initialize(layer, scheme, generator()).bias.detach().square() / variance
    assert abs(float(squares.mean()) - 1) < 5 * math.sqrt(2 / 20_000)  # E z² = 1
    assert abs(float(squares.square().mean()) - 3) < 5 * math.sqrt(96 / 20_000)  # E z⁴ = 3


def test_it_works_in_place_and_leaves_other_parameters_alone():
    net = fcn(activation=nn.PReLU(init=0.1))
    parameters = list(net.parameters())
    assert initialize(net, "orthogonal", generator()) is net
    assert all(before is after for before, after in zip(parameters, net.parameters(), strict=True))
    assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in parameters)
    assert all(phi.weight.item() == pytest.approx(0.1) for phi in net.activations)


def test_layers_are_found_wherever_they_are():
    net = nn.Sequential(nn.Sequential(Conv(2, 3), nn.ReLU()), nn.Flatten(), Dense(12, 2))
    initialize(net, "delta_orthogonal", generator())
    assert net[0][0].weight.any() and net[2].weight.all()
    assert net(torch.ones(1, 2, 2, 2)).shape == (1, 2)


@pytest.mark.parametrize("build", [fcn, cnn])
def test_a_function_of_the_gaussian_draw_is_a_scheme(build):
    gaussian = initialize(build("standard"), "gaussian", generator())
    coupled = initialize(build("standard"), torch.sign, generator(), coupled=True)
    for g, s in zip(gaussian.layers, coupled.layers, strict=True):
        assert torch.equal(s.weight, g.weight.sign() * s.weight_std) and torch.equal(s.bias, g.bias)
    uncoupled = initialize(build("standard"), torch.sign, generator())
    agreement = correlation(entries(gaussian).sign(), entries(uncoupled).sign())
    assert abs(agreement) < 5 / math.sqrt(len(entries(gaussian)))


@pytest.mark.parametrize("bad", [lambda draw: draw[:1], lambda draw: draw.mT, lambda draw: None, lambda draw: 1.0])
def test_a_scheme_must_return_weights_of_the_given_shape(bad):
    initialize(fcn(), lambda draw: draw / draw.std(), generator())
    with pytest.raises(InvalidValue, match=r"expected weights of shape \(32, 24\), not (shape|NoneType|float)"):
        initialize(fcn(), bad, generator())


@pytest.mark.parametrize("bad", ["orthogonall", "Gaussian", "", None, 0, ["gaussian"]])
def test_unknown_schemes_are_refused(bad):
    initialize(fcn(), "gaussian")
    with pytest.raises(InvalidValue, match="expected one of gaussian, orthogonal, flat_orthogonal, delta_orthogonal"):
        initialize(fcn(), bad)


def test_delta_orthogonal_needs_a_convolution():
    initialize(fcn(), "orthogonal")
    initialize(fcn(), "flat_orthogonal")  # dense layers as `orthogonal`
    initialize(cnn(), "delta_orthogonal")
    for net in (fcn(), CNN(3, 4, 2, 8, depth=1)):
        with pytest.raises(InvalidValue, match=r"^scheme=delta_orthogonal: expected a network with convolutions"):
            initialize(net, "delta_orthogonal")


def test_delta_orthogonal_needs_as_many_channels_out_as_in():
    initialize(CNN(3, 4, 2, width=3, depth=3), "delta_orthogonal")
    for width in (1, 2):
        net = CNN(3, 4, 2, width=width, depth=3)
        with pytest.raises(InvalidValue, match=rf"n_in ≤ n_out in every convolution, not 3 inputs to {width} outputs"):
            initialize(net, "delta_orthogonal")
        initialize(net, "orthogonal")


def test_a_network_without_weight_layers_is_refused():
    initialize(nn.Sequential(Dense(2, 2)), "gaussian")
    with pytest.raises(InvalidValue, match=r"^scheme=gaussian: expected none, which leaves Linear as its constructor"):
        initialize(nn.Linear(2, 2), "gaussian")


def test_none_leaves_a_network_as_it_is():
    net = nn.Sequential(nn.Linear(2, 2), Dense(2, 2))
    with pytest.raises(InvalidValue, match=r"^scheme=none: expected one of gaussian, .*, as Dense .* start at zero"):
        initialize(net, "none")
    with torch.no_grad():
        net[1].weight.fill_(2)
    before = [p.clone() for p in net.parameters()]
    assert initialize(net, "none") is net
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_orthogonal_schemes_share_a_stream():
    """As the docstring says: uncoupled, they are independent of Gaussian networks, not of one another."""
    readouts = [initialize(cnn(), s, generator()).layers[-1].weight for s in ("orthogonal", "delta_orthogonal")]
    assert torch.equal(*readouts)
