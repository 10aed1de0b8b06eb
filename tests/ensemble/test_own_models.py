"""Replicas of a user's own model equal its single runs, whatever it is made of."""

from pathlib import Path

import own_models
import pytest
import torch
from ensemble_runs import assert_curves_agree, curves, single_curve

from orthontk.ensemble.stack import StackedNetwork

HERE = Path(__file__).parent
SETTINGS = (
    "model=fcn",
    "model.width=8",
    "data.train_size=64",
    "data.val_size=20",
    "data.test_size=40",
    "data.batch_size=10",
    "figures=false",
    "logger=csv",
    "trainer.precision=64-true",
    "trainer.max_steps=12",
    "trainer.val_check_interval=4",
    "trainer.log_every_n_steps=1",
    "+trainer.gradient_clip_val=0.5",
    "optimizer=momentum",
    "+optimizer.weight_decay=0.01",
)


@pytest.fixture
def own(train, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))

    def run(model, *arguments):
        return train(*SETTINGS, f"model._target_=own_models.{model}", *arguments)

    return run


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(
    "model",
    ["Frozen", "TorchLayer", "Unused", "Scalar", "SharedModule", "SharedWeight", "Constant", "WeightNormalized"],
)
def test_replicas_equal_single_runs(own, plan, model, batched):
    callbacks = "callbacks=[ntk,tau]", "callbacks.ntk.steps=[0,12]", "callbacks.ntk.probe_size=5"
    plan(2, batched)
    ensemble = own(model, *callbacks, "ensemble.seeds=[1,5]")
    assert ensemble.code == 0, ensemble.err
    together = curves(ensemble.run_directory)
    for (seed, _, rate), curve in together.items():
        alone = own(model, *callbacks, f"seed={seed}", f"optimizer.lr={rate}")
        assert alone.code == 0, alone.err
        assert_curves_agree(single_curve(alone.run_directory), curve, 1e-8)


@pytest.mark.parametrize("model, batched", [("Normalized", True), ("Normalized", False), ("PartlyFrozen", True)])
def test_running_statistics_are_used_where_single_runs_use_them(own, plan, model, batched):
    plan(2, batched)
    ensemble = own(model, "callbacks=tau", "ensemble.seeds=[1,5]")
    assert ensemble.code == 0, ensemble.err
    for (seed, *_), curve in curves(ensemble.run_directory).items():
        alone = own(model, "callbacks=tau", f"seed={seed}")
        assert_curves_agree(single_curve(alone.run_directory), curve, 1e-8)


@pytest.mark.parametrize("model", ["Averaged", "SpectralNormalized"])
def test_what_cannot_be_batched_is_trained_one_after_another(own, model):
    ensemble = own(model, "callbacks=none", "ensemble.seeds=[1,5]", "ensemble.chunk=2")
    assert ensemble.code == 0, ensemble.err
    alone = own(model, "callbacks=none", "seed=5")
    (curve,) = (curve for (seed, *_), curve in curves(ensemble.run_directory).items() if seed == 5)
    assert_curves_agree(single_curve(alone.run_directory), curve, 1e-10)


def test_a_replica_starts_alike_in_any_ensemble(own):
    one, two = (own("TorchLayer", "callbacks=none", f"ensemble.seeds={seeds}") for seeds in ("[5]", "[1,5]"))
    first, second = (
        next(curve for (seed, *_), curve in curves(run.run_directory).items() if seed == 5)[0] for run in (one, two)
    )
    assert first["train/loss"] == pytest.approx(second["train/loss"], rel=1e-12)


def test_an_operation_that_replicas_take_one_by_one_is_no_warning(own, plan, recwarn):
    plan(2, batched=True)
    ensemble = own("Attention", "callbacks=none", "ensemble.seeds=2")
    assert ensemble.code == 0, ensemble.err
    assert not [warning for warning in recwarn if "performance drop" in str(warning.message)]


@pytest.mark.parametrize("ensemble", ["ensemble.seeds=[1,5]", "seed=1 ensemble.seeds=2 ensemble.inits=[none]"])
def test_a_network_that_draws_its_weights_itself(own, ensemble):
    """`seed` decides them, in any process and at any place of a grid."""
    inits = () if "inits" in ensemble else ("init=none",)
    run = own("Plain", "callbacks=none", *inits, *ensemble.split())
    assert run.code == 0, run.err
    found = curves(run.run_directory)
    assert {init for _, init, _ in found} == {"none"} and len({curve[0]["train/loss"] for curve in found.values()}) == 2
    for (seed, *_), curve in found.items():
        alone = own("Plain", "callbacks=none", "init=none", f"seed={seed}")
        assert_curves_agree(single_curve(alone.run_directory), curve, 1e-8)


@pytest.mark.parametrize(
    "arguments, key",
    [
        (("init=orthogonal",), "init.scheme=orthogonal"),
        (("ensemble.inits=[orthogonal,none]",), "ensemble.inits=orthogonal"),
    ],
)
def test_a_network_without_layers_that_a_scheme_draws_is_refused(own, arguments, key):
    refused = own("Plain", *arguments)
    assert refused.code == 1
    assert refused.err.startswith(f"error: {key}: expected none, which leaves Plain as its constructor drew it, or")


IN_PLACE = "a network whose tensors are parameters, or buffers written in place"
REFUSED = {
    "model._target_=own_models.Random": "model=Random: expected a network whose forward pass draws no random numbers",
    "model._target_=own_models.RandomInNumpy": "model=RandomInNumpy: expected a network whose forward pass draws no",
    "model._target_=own_models.Masked": f"model=Masked: expected {IN_PLACE}",
    "model._target_=own_models.ClosedOver": f"model=ClosedOver: expected {IN_PLACE}",
    "model._target_=own_models.Assigning": f"model=Assigning: expected {IN_PLACE}",
    "model._target_=own_models.OldWeightNormalized": "model=OldWeightNormalized: expected a network that copy.deepcopy",
    "loss._target_=own_models.NoisyLabels": "loss=NoisyLabels: expected a loss that draws no random numbers",
    "loss._target_=own_models.Remembering": "loss=Remembering: expected a loss without a memory",
}


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated")
@pytest.mark.parametrize("arguments", REFUSED)
def test_what_replicas_would_not_do_as_single_runs_do_is_refused(own, arguments):
    refused = own("Scalar", arguments, "ensemble.seeds=2", "trainer.max_steps=0")
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert refused.err.startswith(f"error: {REFUSED[arguments]}"), refused.err


@pytest.mark.parametrize("batched", [True, False])
def test_what_a_network_keeps_of_a_pass_stays_out_of_its_copies(batched):
    networks = [own_models.Keeping(12, 3, 8) for _ in range(2)]
    stack = StackedNetwork(networks[0], 2, batched)
    for row, network in enumerate(networks):
        stack.fill(row, network)
    x = torch.randn(4, 12)
    outputs = stack(x)
    for row in range(2):
        torch.testing.assert_close(stack.network(row)(x), outputs[row])
