"""`ensemble.inits` names what `init=NAME` does: options as Hydra composes them, whatever their settings are."""

import shutil
from pathlib import Path

import pytest
from ensemble_runs import assert_curves_agree, curves, single_curve
from omegaconf import OmegaConf

from orthontk.ensemble.replicas import grid
from orthontk.identity import run_identity
from orthontk.report.apart import newest_of_each
from orthontk.report.gather import gather
from orthontk.report.trainings import trainings_of

HERE = Path(__file__).parent
SCHEME = "_target_: orthontk.init.initialize\n_partial_: true\ncoupled: true\nscheme: "
OPTIONS = {
    "constant": "_target_: own_inits.constant\n_partial_: true\nvalue: ${seed}\n",
    "derived": "defaults: [orthogonal]\ncoupled: true\n",
    "named": "_target_: own_inits.constant\n_partial_: true\nscheme: named\nvalue: 0.5\n",
    "broken": "defaults: [orthogonall]\n",
    "features": "_target_: own_inits.random_features\n_partial_: true\n",
    "half": f"{SCHEME}{{_target_: own_inits.scaled, _partial_: true, power: 0.5}}\n",
    "full": f"{SCHEME}{{_target_: own_inits.scaled, _partial_: true, power: 1.0}}\n",
}
EXACT = ("trainer.precision=64-true", "callbacks.ntk.steps=[]")


@pytest.fixture
def own(small, monkeypatch, tmp_path):
    """`small` with a search path that has these options."""
    monkeypatch.syspath_prepend(str(HERE))
    (tmp_path / "conf" / "init").mkdir(parents=True)
    for name, text in OPTIONS.items():
        (tmp_path / "conf" / "init" / f"{name}.yaml").write_text(text)
    return lambda *arguments: small(*EXACT, f"hydra.searchpath=[file://{tmp_path}/conf]", *arguments)


@pytest.mark.parametrize("coupled", [(), pytest.param(("init.coupled=true",), marks=pytest.mark.slow)])
def test_each_is_what_it_is_in_a_single_run(own, coupled):
    """A defaults list, a value of another group, and settings that know nothing of `coupled`."""
    ensemble = own("ensemble.seeds=[1,2]", "ensemble.inits=[constant,derived]", *coupled)
    assert ensemble.code == 0, ensemble.err
    together = curves(ensemble.run_directory)
    assert len(together) == 4
    for name, settings in (("constant", ()), ("derived", coupled)):
        alone = own("seed=2", f"init={name}", *settings)
        assert_curves_agree(single_curve(alone.run_directory), together[2, name, 2.0], 1e-10)


SHORT = "trainer.max_steps=1", "ensemble.seeds=2"


def test_it_runs_again_from_the_settings_that_it_has_written(own, train):
    """Which have no file of an initialization beside them."""
    run = own(*SHORT, "ensemble.inits=[half,orthogonal]").run_directory
    before, settings = curves(run), (f"--config-path={run}", "--config-name=config.yaml")
    shutil.rmtree(run / "chunks")
    (run / "summary.json").unlink()
    again = train(*settings, f"hydra.run.dir={run}")
    assert again.code == 0, again.err
    assert curves(run) == before
    refused = train(*settings, f"hydra.run.dir={run}-other", "ensemble.inits=[half,nowhere]")
    assert refused.err.startswith("error: ensemble.inits=nowhere: expected one of gaussian, ")


@pytest.mark.parametrize("name", ["half", "named"])
def test_a_name_whose_file_has_changed_is_another_run(own, tmp_path, name):
    first = own(*SHORT, f"ensemble.inits=[gaussian,{name}]")
    option = tmp_path / "conf" / "init" / f"{name}.yaml"
    option.write_text(OPTIONS[name].replace("0.5", "0.25"))
    second = own(*SHORT, f"ensemble.inits=[gaussian,{name}]")
    again = own(*SHORT, f"ensemble.inits=[gaussian,{name}]")
    assert first.run_directory != second.run_directory == again.run_directory
    assert "finished already" in again.out and "finished already" not in second.out


@pytest.mark.slow
def test_studies_tell_a_scheme_with_other_settings_apart(own, tmp_path):
    """As an axis of one ensemble, in ensembles of their own, and as single runs."""
    own(*SHORT, "ensemble.inits=[gaussian,half,full]", "name=axis")
    for power in ("half", "full"):
        own(*SHORT, f"init={power}", "name=each")
        own("trainer.max_steps=1", f"init={power}", "seed=1", "name=single")
    found = {}
    for name in ("axis", "each", "single"):
        runs = newest_of_each(trainings_of(gather(tmp_path / "outputs" / name).runs))
        found[name] = {run.settings()["init"]: run_identity(run.config) for run in runs if run.get("seed") == 1}
    schemes = {"scaled(power=0.5)", "scaled(power=1.0)"}
    assert found["axis"].keys() == {"gaussian", *schemes} and found["each"].keys() == found["single"].keys() == schemes
    for scheme in schemes:
        assert found["axis"][scheme] == found["single"][scheme]


@pytest.mark.parametrize(
    "init, name",
    [
        ({"scheme": "orthogonal"}, "orthogonal"),
        ({"_target_": "orthontk.init.initialize", "scheme": {"_target_": "mine.signs"}}, "signs"),
        ({"_target_": "own_inits.constant", "value": 1}, "constant"),
    ],
)
def test_without_an_axis_it_is_called_by_its_scheme_or_its_function(init, name):
    ensemble = {"seeds": 2, "inits": None, "learning_rates": None}
    config = OmegaConf.create({"ensemble": ensemble, "seed": 0, "init": init, "optimizer": {"lr": 0.1}})
    assert {replica.init for replica in grid(config)} == {name}


REFUSED = {
    "ensemble.inits=[constant,uniform]": "ensemble.inits=uniform: expected names from broken, constant, delta_orth",
    "ensemble.inits=[broken]": "ensemble.inits=broken: expected what can be composed; In 'init/broken': Could not lo",
    "ensemble.inits=[gaussian,features]": "ensemble.inits=features: expected initializations that leave the same",
    "ensemble.inits=[gaussian,null]": "ensemble.inits=null: expected names from",
    "ensemble.inits=[orthogonal] +init.scheme.power=0": "init.scheme.power=0: expected ensemble.inits=null",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_refusals(own, arguments):
    refused = own(*arguments.split(" "))
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert refused.err.startswith(f"error: {REFUSED[arguments]}"), refused.err


def test_coupling_that_is_typed_decides_for_all(own):
    found = {
        typed: curves(own(*SHORT, "ensemble.inits=[orthogonal,derived]", *typed).run_directory)
        for typed in ((), ("init.coupled=false",), ("++init.coupled=false",))
    }
    for typed, together in found.items():
        assert (together[0, "orthogonal", 2.0] == together[0, "derived", 2.0]) is bool(typed)


@pytest.mark.slow
def test_jobs_of_a_multirun_that_are_done_are_not_launched_again(own):
    jobs = "-m", "ensemble.inits=[gaussian,half]", "seed=1,2", "trainer.max_steps=1"
    assert own(*jobs).code == 0
    again = own(*jobs)
    assert again.code == 0 and "2 jobs: 2 finished already, 0 to run" in again.out, again.err


@pytest.mark.slow
def test_in_processes_of_a_multirun(own):
    done = own("-m", "hydra/launcher=joblib", "ensemble.inits=[gaussian,derived]", "seed=1,2")
    assert done.code == 0, done.err
