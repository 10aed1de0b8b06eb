"""What a run says about its kernel beyond its change: the layers' shares, the limit, the blocks between outputs."""

import pytest
import torch

from orthontk.callbacks import NTKRecorder
from orthontk.callbacks.infinite_limit import distance
from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import empirical_ntk, infinite_kernels, measures, ntk_and_layer_shares
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from orthontk.networks import CNN, FCN, named_layers
from orthontk.training import TrainingModule


def rows(directory):
    return {row["step"]: row for row in read_metrics(directory / "metrics.csv")}


def networks():
    yield FCN(12, 3, width=7, depth=4, bias_var=0.3), torch.randn(11, 12)
    yield CNN(2, 4, 3, width=5, depth=3, readout="pool", parameterization="standard"), torch.randn(9, 2, 4, 4)
    yield CNN(2, 5, 1, width=5, depth=3, activation="relu", bias_var=0.1), torch.randn(17, 2, 5, 5)


@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize("memory_limit", [None, 300_000])
def test_shares_are_those_of_kernels_with_one_trainable_layer(case, memory_limit):
    torch.manual_seed(case)
    net, x = list(networks())[case]
    initialize(net, "gaussian").double()
    expected = {}
    for name, layer in named_layers(net):
        net.requires_grad_(False)
        layer.requires_grad_(True)
        expected[name] = empirical_ntk(net, x.double(), outputs="trace").trace().item()
    net.requires_grad_(True)
    for outputs in ("full", "trace"):
        theta, shares = ntk_and_layer_shares(net, x.double(), outputs=outputs, memory_limit=memory_limit)
        assert torch.equal(theta, empirical_ntk(net, x.double(), outputs=outputs, memory_limit=memory_limit))
        assert_shares(shares, expected)


def assert_shares(shares, expected):
    assert list(shares) == list(expected)
    for name, trace in expected.items():
        assert shares[name] == pytest.approx(trace / sum(expected.values()), rel=1e-12)


def test_frozen_layers_have_no_share():
    net = initialize(FCN(4, 2, width=8, depth=3), "gaussian", torch.Generator().manual_seed(0))
    net.layers[0].requires_grad_(False)
    _, shares = ntk_and_layer_shares(net, torch.randn(5, 4))
    assert list(shares) == ["layer2", "layer3"] and sum(shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("outputs", ["full", "trace", "sum_of_logits"])
def test_metrics_are_those_of_the_recorded_kernels(small, outputs):
    """The limit is recomputed from the configuration alone; every kind of kernel has the same limit."""
    from orthontk.data import TensorDataModule

    run = small(f"callbacks.ntk.outputs={outputs}", "init=orthogonal", "callbacks.ntk.infinite=true").run_directory
    series = KernelSeries.read(run / "ntk.safetensors")
    x, _, _ = TensorDataModule("mnist_5k", train_size=60, val_size=20, batch_size=10).probe(10)
    limit = infinite_kernels(FCN(784, 10, width=8, depth=3), x).ntk
    assert torch.equal(series.probe["infinite"], limit)
    for step, theta in zip(series.steps, series.kernels, strict=True):
        row = rows(run)[step]
        assert row["ntk/distance_to_infinite"] == pytest.approx(distance(theta, limit), rel=1e-6)
        offdiagonal = pytest.approx(measures.offdiagonal(theta), rel=1e-6) if outputs == "full" else None
        assert row.get("ntk/offdiagonal") == offdiagonal
        shares = [row[f"ntk/share/layer{i}"] for i in (1, 2, 3)]
        assert min(shares) > 0 and sum(shares) == pytest.approx(1)
    expanded = limit[..., None, None] * torch.eye(10)
    full = theta if theta.dim() == 4 else theta[..., None, None] * torch.eye(10)
    assert distance(theta, limit) == pytest.approx(((full - expanded).norm() / expanded.norm()).item(), rel=1e-5)


def test_wide_networks_are_closer_to_their_limit(small):
    """Delta-orthogonal convolutions are compared with their own limit, which is not the Gaussian one."""
    settings = ("model=cnn", "init=delta_orthogonal", "model.activation=relu", "model.weight_var=2", "seed=1")
    image = (
        "data=gaussian",
        "data.shape=[3,6,6]",
        "data.val_size=0",
        "trainer.max_steps=0",
        "callbacks.ntk.infinite=true",
    )
    ending = ("trainer.max_steps=0", "callbacks.ntk.infinite=true")
    narrow, wide = (small(*settings, *image, *ending, f"model.width={n}").run_directory for n in (16, 256))
    far, near = (rows(run)[0]["ntk/distance_to_infinite"] for run in (narrow, wide))
    assert near < far / 2 and near < 0.2


def test_no_distance_unless_asked_for(small):
    run = small().run_directory
    assert "infinite" not in KernelSeries.read(run / "ntk.safetensors").probe
    assert "ntk/distance_to_infinite" not in rows(run)[0] and "ntk/share/layer1" in rows(run)[0]


@pytest.mark.parametrize(
    "network, scheme",
    [
        (torch.nn.Linear(3, 2), "gaussian"),
        (FCN(3, 2, width=4, depth=2, activation="PReLU"), "gaussian"),
        (FCN(3, 2, width=4, depth=2), "delta_orthogonal"),
        (FCN(3, 2, width=4, depth=2), None),
    ],
)
def test_a_limit_that_is_not_known_is_refused(network, scheme):
    network.out_features = 2
    module = TrainingModule(network, torch.nn.CrossEntropyLoss(), torch.optim.SGD, config={"init": {"scheme": scheme}})
    NTKRecorder().check_module(module)
    with pytest.raises(InvalidValue, match="infinite=True"):
        NTKRecorder(infinite=True).check_module(module)
