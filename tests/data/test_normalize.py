"""Each normalization makes the quantity it is named for exact."""

import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.data.normalize import FirstLayer, normalize
from orthontk.networks import FCN


def subset(**options):
    return TensorDataModule("mnist_5k", train_size=300, val_size=50, test_size=100, batch_size=100, **options)


def every_split(data):
    return [data.train.images, data.val.images, data.test.images]


def test_none_leaves_pixels():
    raw, whole = subset(), TensorDataModule("mnist_5k")
    assert torch.equal(raw.train.images, whole.train.images[raw.train.indices])
    assert raw.train.images.min() == 0
    assert raw.train.images.max() == 1


def test_unit_norm():
    for raw, x in zip(every_split(subset()), every_split(subset(normalize="unit_norm")), strict=True):
        norms = x.double().flatten(1).norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-6, atol=0)
        cosines = torch.nn.functional.cosine_similarity(raw.flatten(1), x.flatten(1))
        torch.testing.assert_close(cosines, torch.ones_like(cosines))


def test_standardize_uses_the_training_subset_alone():
    raw, data = subset(), subset(normalize="standardize")
    train = raw.train.images.double()
    mean, std = train.mean(), train.var(correction=0).sqrt()
    assert abs(data.train.images.double().mean()) < 1e-6
    assert abs(data.train.images.double().var(correction=0) - 1) < 1e-6
    torch.testing.assert_close(data.test.images.double(), (raw.test.images.double() - mean) / std, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(data.val.images.double(), (raw.val.images.double() - mean) / std, rtol=1e-5, atol=1e-6)


def test_standardize_is_per_channel_and_one_channel_for_vectors():
    scales = torch.tensor([0.1, 1.0, 30.0]).view(1, 3, 1, 1)
    x = torch.randn(40, 3, 5, 4, generator=torch.Generator().manual_seed(0)) * scales + scales.flip(1)
    (images,) = normalize("standardize", x, [])
    std, mean = torch.std_mean(images.double(), dim=(0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(std, torch.ones(3).double(), rtol=0, atol=1e-6)
    (vectors,) = normalize("standardize", x.flatten(1), [])
    torch.testing.assert_close(vectors, (x.flatten(1) - x.mean()) / x.std(correction=0), rtol=1e-5, atol=1e-5)


def test_qstar_gives_first_pre_activations_that_second_moment():
    q_star, weight_var, bias_var = 0.026, 1.05, 2.01e-5
    data = subset(normalize="qstar")
    data.set_first_layer(q_star, weight_var, bias_var)
    for x in every_split(data):
        q1 = weight_var * x.double().flatten(1).square().sum(1) / 784 + bias_var
        torch.testing.assert_close(q1, torch.full_like(q1, q_star), rtol=1e-6, atol=0)
    # and it is the variance of a wide random first layer's output
    net = FCN(784, 20_000, width=1, depth=1, weight_var=weight_var, bias_var=bias_var)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator)
        variance = net(data.train.images[:5]).square().mean(1)
    torch.testing.assert_close(variance, torch.full((5,), q_star), rtol=5 * (2 / 20_000) ** 0.5, atol=0)


def test_qstar_refused_without_a_network_or_below_the_bias_variance():
    with pytest.raises(InvalidValue, match=r"^normalize=qstar"):
        subset(normalize="qstar").setup()
    with pytest.raises(InvalidValue, match=r"^normalize=qstar.*bias_var=0\.5"):
        FirstLayer(q_star=0.5, weight_var=1.0, bias_var=0.5).squared_norm(10)
    assert FirstLayer(q_star=0.51, weight_var=1.0, bias_var=0.5).squared_norm(100) == pytest.approx(1)
    for q_star in (
        0.0,
        float("nan"),
        float("inf"),
    ):  # 0 is the fixed point of tanh with weight_var ≤ 1 and bias_var = 0
        with pytest.raises(InvalidValue, match=rf"^normalize=qstar.*q\*={q_star:g}.*bias_var=0$"):
            FirstLayer(q_star, weight_var=1.0, bias_var=0.0).squared_norm(10)


@pytest.mark.parametrize("scheme", ["unit_norm", "qstar"])
def test_a_zero_input_is_refused(scheme):
    first_layer = FirstLayer(1.0, 2.0, 0.0)
    x = torch.ones(3, 1, 2, 2)
    normalize(scheme, x, [], first_layer)
    x[1] = 0
    with pytest.raises(InvalidValue, match=rf"^normalize={scheme}.*input 1 is zero"):
        normalize(scheme, x, [], first_layer)


def test_a_constant_channel_is_refused():
    x = torch.rand(3, 2, 4, 4)
    normalize("standardize", x, [])
    x[:, 1] = 0.25
    with pytest.raises(InvalidValue, match=r"^normalize=standardize.*channel 1 is constant"):
        normalize("standardize", x, [])
