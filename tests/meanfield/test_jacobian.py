"""Singular values of finite networks against both predictions."""

import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.meanfield import critical_point, hidden_jacobian, measured_spectrum, predicted_spectrum
from orthontk.networks import CNN, FCN


def _generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("net", [FCN(5, 2, 7, 4), CNN(2, (4, 3), 2, 3, 4)], ids=["fcn", "cnn"])
def test_jacobian_is_a_finite_difference(net):
    initialize(net.double(), "gaussian", _generator(0))
    x = torch.randn(5 if isinstance(net, FCN) else (2, 4, 3), generator=_generator(1), dtype=torch.float64)
    jacobian = hidden_jacobian(net, x)
    z = net.layers[0](x[None]).detach()
    step = 1e-6 * torch.randn(z.shape, generator=_generator(2), dtype=torch.float64)

    def last_hidden(z):
        for layer, activation in zip(net.layers[1:-1], net.activations, strict=False):
            z = layer(activation(z))
        return z.flatten()

    difference = (last_hidden(z + step) - last_hidden(z - step)).detach() / 2
    assert torch.allclose(jacobian @ step.flatten(), difference, atol=1e-14)


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("init", ["gaussian", "orthogonal"])
def test_dense_spectra(init, parameterization):
    """At the fixed point (‖x‖² chosen so): mean 1, and the relative variance that tells the two apart."""
    weight_var, bias_var = critical_point("tanh", 0.1)
    net = FCN(300, 2, 300, 8, "tanh", weight_var, bias_var, parameterization).double()
    x = torch.randn(300, generator=_generator(1), dtype=torch.float64)
    x *= ((0.1 - bias_var) / weight_var * 300) ** 0.5 / x.norm()
    measured = torch.tensor([measured_spectrum(initialize(net, init, _generator(s)), x)[1] for s in range(4)]).mean(0)
    predicted = predicted_spectrum(net, x, init)
    assert predicted.mean == pytest.approx(1, abs=1e-9)
    assert float(measured[0]) == pytest.approx(predicted.mean, rel=0.05)
    assert float(measured[1]) == pytest.approx(predicted.relative_variance, rel=0.12)


@pytest.mark.parametrize(
    ("init", "variance"),
    [("gaussian", 1.0), ("orthogonal", 8 / 9), ("flat_orthogonal", 8 / 9), ("delta_orthogonal", 0)],
)
def test_one_linear_circular_convolution(init, variance):
    """σ_w² = 1 and one layer: relative variance −s₁ = 1, 1−1/k², 0."""
    net = CNN(3, 6, 1, 48, 3, activation="identity", weight_var=1.0, bias_var=0.0).double()
    x = torch.randn(3, 6, 6, generator=_generator(0), dtype=torch.float64)
    _, measured = measured_spectrum(initialize(net, init, _generator(1)), x)
    assert measured.mean == pytest.approx(1, rel=0.05)
    assert measured.relative_variance == pytest.approx(variance, rel=0.08, abs=1e-12)
    assert predicted_spectrum(net, x, init).relative_variance == pytest.approx(variance, abs=1e-12)


@pytest.mark.parametrize("padding", ["circular", "zeros"])
@pytest.mark.parametrize("init", ["gaussian", "delta_orthogonal"])
def test_mean_of_a_cnn_off_the_fixed_point(init, padding):
    """Zero padding loses gradient at the borders; the prediction follows every position."""
    net = CNN(3, 5, 1, 48, 4, padding=padding, activation="tanh", weight_var=1.5, bias_var=0.1).double()
    x = torch.randn(3, 5, 5, generator=_generator(0), dtype=torch.float64)
    _, measured = measured_spectrum(initialize(net, init, _generator(1)), x)
    assert measured.mean == pytest.approx(predicted_spectrum(net, x, init).mean, rel=0.05)


def test_two_hidden_layers_are_needed():
    with pytest.raises(InvalidValue, match="at least 3"):
        hidden_jacobian(FCN(3, 1, 4, 2), torch.ones(3))


@pytest.mark.parametrize(
    ("net", "shape"),
    [(CNN(3, 5, 2, 6, 4), shape) for shape in [(3, 4, 5), (1, 3, 5, 5), (75,)]] + [(FCN(75, 2, 6, 4), (70,))],
)
def test_an_input_of_another_shape_is_refused(net, shape):
    for function in (hidden_jacobian, measured_spectrum, predicted_spectrum):
        with pytest.raises(InvalidValue, match=r"(image_size|in_features)="):
            function(net, torch.ones(shape))


def test_positions_of_unequal_lengths_spread_the_spectrum():
    """One diagonal of slopes has the relative variance E[φ'⁴]/E[φ'²]² − 1 over all of its entries."""
    generator = torch.Generator().manual_seed(0)
    net = CNN(3, 6, 2, width=24, depth=3, weight_var=1.8, bias_var=0.05).double()
    x = torch.randn(3, 6, 6, generator=generator) * torch.exp(2 * torch.randn(6, 6, generator=generator))
    x = x.double()
    spreads = [measured_spectrum(initialize(net, "gaussian", generator), x)[1].relative_variance for _ in range(3)]
    assert sum(spreads) / 3 == pytest.approx(predicted_spectrum(net, x).relative_variance, rel=0.2)
