"""A run's directory: the same for the same results, another for any other setting."""

import copy

import pytest
from omegaconf import OmegaConf

from orthontk.identity import name_without_seed, run_hash, run_identity, run_name


def test_what_cannot_change_the_result_is_not_in_the_hash(composed):
    same = [
        "logger=csv",
        "logger.wandb.mode=online",
        "paths.output_dir=elsewhere",
        "resume=never",
        "figures=false",
        "trainer.enable_progress_bar=false",
    ]
    assert {run_hash(composed(override)) for override in same} == {run_hash(composed())}


@pytest.mark.parametrize(
    "axis, key, other",
    [
        ("ensemble.learning_rates=[0.1]", "optimizer.lr", 0.7),
        ("ensemble.seeds=[1,2]", "seed", 7),
        ("ensemble.inits=[gaussian]", "init.scheme", "orthogonal"),
        ("ensemble.shared_batches=false", "data.seed", 7),
    ],
)
def test_what_an_ensemble_sets_for_each_replica_is_not_in_its_hash(composed, axis, key, other):
    hashes = [[], []]
    for of, settings in zip(hashes, (["ensemble.seeds=3"], ["ensemble.seeds=3", axis]), strict=True):
        for value in (None, other):
            config = composed(*settings)
            if value is not None:
                OmegaConf.update(config, key, value)
            of.append(run_hash(config))
    assert hashes[0][0] != hashes[0][1] and hashes[1][0] == hashes[1][1]
    assert run_hash(composed("ensemble.inits=[gaussian]")) != run_hash(
        composed("ensemble.inits=[gaussian]", "init.coupled=true")
    )


def test_learning_rates_are_the_same_in_any_order(composed):
    names = {run_name(composed(f"ensemble.learning_rates={rates}")) for rates in ("[0.5,1,10]", "[10,0.5,1.0]")}
    assert len(names) == 1


def test_a_path_to_resume_from_is_one_however_it_is_given(composed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = "run", "./run", "run/", "other/../run", f"{tmp_path}/run"
    assert {run_identity(composed(f"resume={path}"))["resume"] for path in paths} == {f"{tmp_path}/run"}
    assert len({run_hash(composed(f"resume={path}")) for path in ("run", "other")}) == 2


def leaves(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def test_every_other_setting_is_in_the_hash(composed):
    """Change each leaf of the configuration in turn: all names differ."""
    base = composed()
    names = {run_name(base)}
    settings = [key for key, _ in leaves(run_identity(base))]
    for key in settings:
        changed = copy.deepcopy(base)
        OmegaConf.update(changed, key, "changed", force_add=True)
        names.add(run_name(changed))
    assert len(settings) > 40
    assert len(names) == 1 + len(settings)


def test_the_name_says_what_the_run_is(composed):
    name = run_name(composed("model=fcn", "init=orthogonal", "model.depth=20", "seed=3", "optimizer.lr=0.5"))
    assert name.startswith("fcn-orthogonal-tanh-L20-n256-mnist_5k-lr0.5-seed3-")


def test_a_name_is_one_folder_whatever_the_settings_hold(composed):
    assert "/" not in run_name(composed("init.scheme='../../x'", "model.activation='a b'"))


def test_runs_that_differ_in_their_seeds_alone_share_a_name(composed):
    def name(*overrides, rate=None):
        config = composed(*overrides)
        config.optimizer.lr = rate or config.optimizer.lr
        return name_without_seed(config)

    assert name("model=fcn").startswith("fcn-gaussian-tanh-L5-n256-mnist_5k-lr2-")
    assert "seed" not in name("seed=3")
    assert name() == name("seed=3") == name("seed=4") != name("seed=3", "data.seed=5")
    assert name("optimizer.lr_fraction=0.5", rate=1.5) == name("optimizer.lr_fraction=0.5", "seed=7", rate=1.6)
    different = ("init=orthogonal", "model.width=9", "loss=mse", "model.activation=relu", "optimizer.lr=0.3")
    assert len({name(override) for override in ("seed=0", *different)}) == 1 + len(different)
