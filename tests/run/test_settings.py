"""Settings that nothing of ours is built with are checked by themselves, and refused by their keys."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from orthontk.checks import InvalidValue
from orthontk.identity import group_directory, register_resolvers
from orthontk.run.assemble import build_network
from orthontk.run.known_keys import ENSEMBLE, TOP_LEVEL, check_added
from orthontk.run.settings import check_overrides, check_settings

ROOT = Path(__file__).parents[2]


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", ["model=fcn", *overrides])


def refusal(*overrides: str) -> str:
    with pytest.raises(InvalidValue) as refused:
        check_settings(composed(*overrides))
    return str(refused.value)


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("+trainer.limit_train_batches=2", "data.train_size"),
        ("+trainer.overfit_batches=1", "data.train_size"),
        ("+trainer.min_steps=3", "trainer.max_steps"),
        ("+trainer.min_epochs=3", "trainer.max_epochs"),
    ],
)
def test_what_lightning_would_be_told_for_nothing(override, instead):
    """Batches are drawn without asking Lightning, and a training ends by its largest number of steps alone."""
    assert refusal(override).startswith(f"{override.lstrip('+')}: expected nothing; ")
    assert instead in refusal(override)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["callbacks=none", "+callbacks.foo.bar=1"], "callbacks.foo._target_=null: expected "),
        (["experiment=kernel_drift", "callbacks=none"], "callbacks.ntk._target_=null: expected "),
        (["logger=csv", "+logger.foo.bar=1"], "logger.foo._target_=null: expected "),
        (["callbacks.ntk=null"], "callbacks.ntk=null: expected its settings; ~callbacks.ntk leaves it out"),
        (["+callbacks.foo=1"], "callbacks.foo=1: expected its settings"),
        (["+ensemble.share_batches=false"], "ensemble.share_batches=False: expected one of the keys seeds, inits, "),
        (["ckpt_path=x"], "ckpt_path=x: expected null"),
        (["mode=test", "ckpt_path=x", "resume=y"], "resume=y: expected auto or never, since mode=test "),
        (["+loss.label_smoothing=1.5"], "loss.label_smoothing=1.5: expected a finite number between 0 and 1"),
        (["+optimizer.eps=inf"], "optimizer.eps=inf: expected a finite number"),
        (["schedule=step", "schedule.step_size=1.5"], "schedule.step_size=1.5: expected an integer of at least 1"),
        (["schedule=step", "schedule.step_size=0"], "schedule.step_size=0: expected an integer of at least 1"),
        (["schedule=cosine", "schedule.T_max=0"], "schedule.T_max=0: expected a finite number above 0"),
        (["schedule=step", "schedule.gamma=-1"], "schedule.gamma=-1: expected a finite number of at least 0"),
        (["optimizer=momentum", "optimizer.momentum=2"], "optimizer.momentum=2: expected a finite number of at least"),
        (["optimizer=adam", "optimizer.betas=[0.9]"], "optimizer.betas=[0.9]: expected two numbers, as in [0.9,0.999]"),
        (["optimizer=adam", "optimizer.betas=0.9"], "optimizer.betas=0.9: expected two numbers"),
        (["optimizer=adam", "optimizer.betas=[0,a]"], "optimizer.betas[1]=a: expected a finite number of at least 0"),
        (["+trainer.gradient_clip_val=-1"], "trainer.gradient_clip_val=-1: expected a finite number of at least 0"),
        (["+trainer.detect_anomaly=foo"], "trainer.detect_anomaly=foo: expected true or false"),
    ],
)
def test_refused_by_its_key(overrides, message):
    assert refusal(*overrides).replace("=None:", "=null:").startswith(message)


def test_what_torch_takes():
    check_settings(composed("optimizer._target_=torch.optim.Adafactor", "+optimizer.eps=[null,1e-3]"))
    check_settings(composed("+loss.label_smoothing=1.0"))


def test_left_out_callbacks_leave_the_others(overrides=("callbacks=ntk", "~callbacks.ntk")):
    config = composed(*overrides)
    check_settings(config)
    assert config.callbacks.weights.steps == "log"


def test_what_the_keys_are_is_what_the_configuration_has():
    config = composed()
    assert set(TOP_LEVEL) == set(config) and set(ENSEMBLE) == set(config.ensemble)


def test_what_an_ensembles_keys_are_in_a_single_run_may_be_given():
    given = [f"ensemble.{key}={value}" for key, value in ENSEMBLE.items()]
    config = composed(*given, "ensemble.shared_batches=True")
    assert config.ensemble == composed().ensemble
    check_overrides(config, [*given, "ensemble.shared_batches=True"])


@pytest.mark.parametrize(("override", "accepted"), [("kernels=none", "all"), ("chunk=2", "null")])
def test_another_value_of_an_ensembles_key_is_refused_in_a_single_run(override, accepted):
    with pytest.raises(InvalidValue, match=f"ensemble.{override}: expected {accepted} in a single run, or ensemble.se"):
        check_overrides(composed(f"ensemble.{override}"), [f"ensemble.{override}"])


def test_the_data_decide_a_networks_input_size():
    data = SimpleNamespace(input_shape=(1, 2, 3), classes=10)
    sizes = ["model.width=8", "model.depth=2"]
    with pytest.raises(InvalidValue, match=r"^model.in_features=5: expected 6, as the data have it"):
        build_network(composed(*sizes, "+model.in_features=5"), data)
    build_network(composed(*sizes, "+model.in_features=6"), data)


@pytest.mark.parametrize("override", ["+foo=1", "+checkpoints.every_n_steps=5", "++foo=1", "+paths.foo=1", "+output=1"])
def test_an_added_key_that_nothing_reads(override):
    with pytest.raises(InvalidValue, match=rf"^{override.lstrip('+')}: expected a key that is read, such as model, "):
        check_added(composed(override), [override], groups=())


@pytest.mark.parametrize("override", ["+trainer.detect_anomaly=true", "model.width=3", "+callbacks@foo=ntk"])
def test_an_added_key_that_something_reads(override):
    check_added(composed(override), [override], groups=())


@pytest.mark.parametrize(
    "overrides",
    [
        ["+n=4", "model.width=${n}"],
        ["+n=[4]", "model.width=${n[0]}"],
        ["+n.m=4", "model.width=${n.m}"],
        ["+n=4", "model.width=${oc.select:n,64}"],
        ["+n=4", "model.width=${oc.select:'n',64}"],
        ["+n=4", "+depths.four=3", "+four=four", "model.depth='${depths.${four}}'", "model.width=${..n}"],
        ["+n=MNIST", "name='of-${oc.env:A,${n}}'"],
        ["+paths.mine=x", "name=${paths.mine}/mnist"],
    ],
)
def test_an_added_key_that_another_setting_is_made_of(overrides):
    check_added(composed(*overrides), [override for override in overrides if override.startswith("+")], groups=())


@pytest.mark.parametrize("text", ["n", "${model.n}", "${n_seeds}", "${scale} n", "n-${scale}", "${oc.env:my-n}"])
def test_a_text_that_only_looks_like_the_added_key(text):
    config = composed("+n=4")
    config.study = text
    with pytest.raises(InvalidValue, match=r"^n=4: expected a key that is read"):
        check_added(config, ["+n=4"], groups=())


def test_an_added_key_that_the_directory_is_made_of(small, tmp_path):
    result = small("+tag=abc", f"hydra.run.dir='{tmp_path}/tags/${{tag}}'", "trainer.max_steps=0")
    assert result.run_directory == tmp_path / "tags" / "abc", result.err


def test_a_group_of_ones_own_may_be_for_code_of_ones_own():
    check_added(composed("+mine=1"), ["+mine=1"], groups=("model", "mine"))


@pytest.mark.parametrize("name", ["null", "true", "1.50", "''", "[a]"])
def test_a_name_is_a_text(name):
    with pytest.raises(InvalidValue, match=r"^name=.*: expected a folder's name"):
        group_directory("outputs", composed(f"name={name}"))


def test_a_name_may_be_a_number():
    assert group_directory("outputs", composed("name=7")).name == "7"
