"""Kernels of many draws, against one network at a time."""

from types import SimpleNamespace

import pytest
import torch

from orthontk.callbacks.kernel_fluctuation import KernelFluctuation, self_kernels
from orthontk.checks import InvalidValue
from orthontk.init import SCHEMES, initialize
from orthontk.init.stacked import draw_stacked
from orthontk.kernels import empirical_ntk, infinite_kernels
from orthontk.kernels.empirical_nngp import empirical_nngp
from orthontk.loggers import read_metrics
from orthontk.networks import CNN, FCN
from orthontk.tensor_files import read_tensors

CNN_SIZES = {"in_channels": 2, "image_size": 4, "out_features": 1, "width": 3, "depth": 3}


@pytest.mark.parametrize("parameterization", ["ntk", "standard"])
@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_stacked_kernels_are_those_of_single_networks(scheme, parameterization):
    net = CNN(**CNN_SIZES, weight_var=1.5, bias_var=0.3, parameterization=parameterization).double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    stacked = draw_stacked(net, scheme, 3, torch.Generator().manual_seed(1))
    theta = self_kernels(net, stacked, x)
    for draw in range(3):
        net.load_state_dict({name: value[draw] for name, value in stacked.items()})
        assert theta[draw].item() == pytest.approx(empirical_ntk(net, x).item(), rel=1e-10)


def test_a_kernel_is_that_of_all_trainable_parameters_also_of_those_that_are_not_drawn():
    net = FCN(4, 1, width=6, depth=3, activation="PReLU").double()
    net.layers[0].requires_grad_(False)
    x = torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    stacked = draw_stacked(net, "gaussian", 3, torch.Generator().manual_seed(1))
    theta = self_kernels(net, stacked, x)
    assert not theta.requires_grad
    for draw in range(3):
        net.load_state_dict({name: value[draw] for name, value in stacked.items()}, strict=False)
        assert theta[draw].item() == pytest.approx(empirical_ntk(net, x).item(), rel=1e-10)


def test_stacked_draws_have_the_law_of_single_ones():
    net = FCN(6, 1, width=6, depth=3, weight_var=2.0, parameterization="standard")
    weight = draw_stacked(net, "orthogonal", 50, torch.Generator().manual_seed(0))["layers.1.weight"]
    single = initialize(net, "orthogonal", torch.Generator().manual_seed(0)).layers[1].weight.double()
    assert torch.allclose(weight @ weight.mT, (single @ single.mT)[None].expand_as(weight), atol=1e-5)
    assert weight.mean().abs() < 0.1 and not torch.equal(weight[0], weight[1])


@pytest.mark.parametrize("coupled", [False, True])
def test_stacked_draws_are_those_of_the_gaussian_stream_only_if_coupled(coupled):
    """A coupled orthogonal draw has the biases of its Gaussian twin; an uncoupled one has nothing of it."""
    net = FCN(6, 1, width=6, depth=3, bias_var=1.0)
    twins = [
        draw_stacked(net, scheme, 5, torch.Generator().manual_seed(0), coupled=coupled)["layers.1.bias"]
        for scheme in ("gaussian", "orthogonal")
    ]
    assert torch.equal(*twins) == coupled


@pytest.mark.parametrize("coupled", [False, True])
def test_fluctuations_are_of_draws_coupled_as_the_initialization_is(tmp_path, monkeypatch, coupled):
    net = FCN(4, 1, width=4, depth=2)
    init = {"_target_": "orthontk.init.initialize", "_partial_": True, "scheme": "orthogonal", "coupled": coupled}
    x = torch.ones(1, 4)
    trainer = SimpleNamespace(
        datamodule=SimpleNamespace(probe=lambda size: (x,)), is_global_zero=True, default_root_dir=tmp_path
    )
    monkeypatch.setattr("orthontk.callbacks.kernel_fluctuation.log_metrics", lambda *arguments: None)
    KernelFluctuation(draws=3).measure(trainer, SimpleNamespace(config={"init": init, "seed": 1}, network=net), 0)
    drawn = draw_stacked(net, "orthogonal", 3, torch.Generator().manual_seed(1), coupled=coupled)
    stored = read_tensors(tmp_path / "ntk_draws.safetensors")[0]["theta"]
    assert torch.equal(stored, self_kernels(net.double(), drawn, x.double()))


def test_a_scheme_of_ones_own_may_look_at_its_values():
    net = FCN(4, 1, width=4, depth=2)
    own = lambda draw: draw if draw.sum() > 0 else -draw  # noqa: E731, which vmap could not follow
    weight = draw_stacked(net, own, 20, torch.Generator().manual_seed(0))["layers.0.weight"]
    assert (weight.sum((1, 2)) > 0).all()


@pytest.mark.parametrize("readout", ["flatten", "pool"])
def test_the_nngp_is_the_outputs_covariance_over_readouts(readout):
    net = initialize(CNN(**CNN_SIZES, readout=readout, weight_var=1.5, bias_var=0.3), "gaussian").double()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    outputs = []
    for _ in range(6_000):
        torch.nn.init.normal_(net.layers[-1].weight)
        torch.nn.init.normal_(net.layers[-1].bias)
        outputs.append(net(x).detach().flatten())
    sampled = torch.stack(outputs).T.cov()
    assert torch.allclose(empirical_nngp(net, x), sampled, atol=0.08 * sampled.diag().max().item())


def test_the_recorded_kernels_are_those_of_the_runs_settings(train):
    settings = [
        "experiment=kernel_convergence",
        "data.shape=[6]",
        "model.width=8",
        "init=orthogonal",
        "data.train_size=5",
    ]
    run = train(
        *settings, "callbacks.kernel_convergence.draws=3", "callbacks.kernel_convergence.inputs=5", "seed=2"
    ).run_directory
    tensors, _ = read_tensors(run / "kernel_draws.safetensors")
    net = FCN(6, 1, width=8, depth=2, activation="relu", weight_var=2.25, bias_var=0.01)
    from orthontk.data import TensorDataModule

    x, _, _ = TensorDataModule("gaussian", shape=(6,), classes=1, train_size=5, test_size=1, batch_size="full").probe(5)
    limit = infinite_kernels(net, x)
    assert torch.allclose(tensors["ntk_limit"], limit.ntk) and torch.allclose(tensors["nngp_limit"], limit.nngp)
    errors = []
    for draw in range(3):
        initialize(net, "orthogonal", torch.Generator().manual_seed(2 * 3 + draw))
        theta = empirical_ntk(net, x).squeeze().double()
        assert torch.allclose(tensors["ntk"][draw], theta, rtol=1e-5)
        errors.append(((theta - limit.ntk).norm() / limit.ntk.norm()).item())
    (row,) = read_metrics(run / "metrics.csv")
    assert row["convergence/ntk"] == pytest.approx(sum(errors) / 3, rel=1e-5)


@pytest.mark.parametrize(
    "settings, expected",
    [
        ((), "a network with one output"),
        (("~init.scheme", "~init.coupled", "init._target_=torch.nn.Identity"), "an initialization by a scheme"),
    ],
)
def test_fluctuations_are_refused_for_several_outputs_and_unknown_draws(train, settings, expected):
    result = train("model=fcn", "callbacks=kernel_fluctuation", "trainer.max_steps=0", "logger=csv", *settings)
    assert result.code == 1 and f"callbacks.kernel_fluctuation.draws=1000: expected {expected}" in result.err


def test_fluctuations_of_a_network_that_draws_itself_are_refused():
    module = SimpleNamespace(config={"init": {"scheme": "none"}}, network=torch.nn.Linear(2, 1))
    with pytest.raises(InvalidValue, match="draws=1000: expected an initialization by a scheme"):
        KernelFluctuation().check_module(module)


def test_jacobian_spectra_of_an_orthogonal_linear_network_are_flat(train):
    settings = ["model=fcn", "model.activation=identity", "model.depth=4", "model.width=16", "model.bias_var=0.0"]
    run = train(
        *settings, "model.weight_var=1.0", "init=orthogonal", "callbacks=jacobian_spectrum", "trainer.max_steps=2",
        "callbacks.jacobian_spectrum.inputs=10", "logger=csv", "figures=false", "trainer.enable_progress_bar=false",
    ).run_directory  # fmt: skip
    rows = read_metrics(run / "metrics.csv")
    assert rows[0]["jacobian/mean_square"] == pytest.approx(1, rel=1e-5)
    assert rows[0]["jacobian/relative_variance"] < 1e-9 < rows[-1]["jacobian/relative_variance"]
    assert rows[0]["jacobian/predicted_mean_square"] == pytest.approx(1, rel=1e-5)
