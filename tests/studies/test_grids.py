"""A preset's grids, and what the command line makes of them."""

import re
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from hydra_plugins.orthontk_sweeper import jobs_of
from orthontk.checks import InvalidValue
from orthontk.grids import SCALES, grids_at_scale
from orthontk.identity import run_name
from orthontk.report.gather import Run
from orthontk.run.settings import check_settings
from orthontk.studies import Study
from orthontk.studies.from_settings import study_from
from presets import STUDIES

GRIDS = [
    {"model": "fcn", "model.width": "32,64", "init": "gaussian,orthogonal"},
    {"model": "cnn", "model.width": "8,16", "data.shape": "[1,8,8]", "x": None},
]


def jobs(*arguments):
    return [set(job) for job in jobs_of(GRIDS, OverridesParser.create().parse_overrides(list(arguments)))]


def test_each_grid_is_a_product_and_all_are_run():
    assert len(jobs()) == 4 + 2
    assert {"model=cnn", "model.width=8", "data.shape=[1,8,8]", "x=null"} in jobs()


@pytest.mark.parametrize("argument", ["model=cnn", "model='cnn'", "model=cnn,cnn"])
def test_a_choice_among_the_grids(argument):
    assert len(jobs(argument)) == 2


@pytest.mark.parametrize("argument", ["model=fcn,cnn", "model=cnn,fcn", "model='fcn','cnn'"])
def test_several_choices_leave_each_grid_its_own(argument):
    assert sorted(map(sorted, jobs(argument))) == sorted(map(sorted, jobs()))


def test_a_name_that_no_grid_has_replaces_all():
    assert {name for job in jobs("model=mine") for name in job if name.startswith("model=")} == {"model=mine"}


def test_the_only_name_of_all_grids_chooses_nothing():
    grids = [{"data": "cifar10", "x": "1,2"}, {"data": "cifar10", "x": "3"}]
    assert len(jobs_of(grids, OverridesParser.create().parse_overrides(["data=cifar10,mnist"]))) == 6


TWO = [{"model": "fcn", "data": "cifar10"}, {"model": "cnn", "data": "mnist"}]


@pytest.mark.parametrize("arguments, refused", [(["model=fcn,mine"], "model=fcn,mine"),
                                                (["model=fcn", "data=mnist"], "data=mnist"),
                                                (["data=mnist", "model=fcn"], "model=fcn")])  # fmt: skip
def test_choices_that_leave_nothing_are_refused(arguments, refused):
    with pytest.raises(InvalidValue, match=f"^{refused}: expected"):
        jobs_of(TWO, OverridesParser.create().parse_overrides(arguments))


@pytest.mark.parametrize(
    "study, scale, argument, count",
    [
        ("kernel_drift", "quick", "trainer.max_steps=100", 100),  # which one of the grids has
        ("kernel_drift", "quick", "optimizer.lr=0.1", 100),
        ("learning_speed", "paper", "model.depth=50", 2 + 4 + 1),  # which one sweeps and the others have
        ("learning_speed", "paper", "model=fcn", 10),
        ("depth_fluctuation", "quick", "model.weight_var=2.0", 22),
        ("depth_fluctuation", "quick", "model.activation=tanh,relu", 22),
    ],
)
def test_a_number_that_a_grid_has_leaves_out_no_other(study, scale, argument, count):
    grids = OmegaConf.load(f"conf/experiment/{study}.yaml").hydra.sweeper.grids
    grids = grids_at_scale(OmegaConf.to_container(grids), scale)
    assert len(jobs_of(grids, OverridesParser.create().parse_overrides([argument]))) == count


def test_a_value_replaces_the_grids_own():
    assert len(jobs("model.width=128")) == 2 + 1
    assert len(jobs("model.width=1,2,3", "model=fcn", "seed=0,1")) == 3 * 2 * 2


def test_a_job_that_two_grids_share_runs_once():
    parsed = OverridesParser.create().parse_overrides(["a=1"])
    assert jobs_of([{"a": "1,2"}, {"a": "2,3"}], parsed) == [["a=1"]]


def test_a_single_run_says_that_it_leaves_out_the_grid(train, monkeypatch):
    small = "experiment=depth_fluctuation", "callbacks.kernel_fluctuation.draws=2", "model.depth=2", "logger=csv"
    said = "experiment=depth_fluctuation has a grid of jobs"
    assert said in train(*small).out
    assert said not in train(*small, "seed=1", "hydra.sweeper.grids=null").out
    monkeypatch.setenv("WANDB_SWEEP_ID", "a sweep's own grid")
    assert said not in train(*small, "seed=2").out


@pytest.mark.parametrize("argument", ["experiment=kernel_drift,lazy_sgd", "scale=quick,paper"])
def test_several_presets_at_once_are_refused(train, argument):
    result = train("-m", "experiment=kernel_drift", argument)
    assert result.code == 1 and len(result.err.splitlines()) == 1
    assert result.err.startswith(f"error: {argument}: expected one at a time")


def test_an_unknown_scale_is_refused(train):
    for mode in (["-m"], []):
        result = train(*mode, "experiment=kernel_drift", "scale=large")
        assert result.code == 1 and result.err == "error: scale=large: expected one of quick, paper\n"


PAPERS_DATA = {"kernel_drift": {"cifar10"}, "lazy_full_batch": {"cifar10"}, "lazy_sgd": {"cifar10", "mnist"}}


@pytest.mark.parametrize("study", [*PAPERS_DATA, "learning_speed"])
def test_the_papers_scale_has_the_papers_data(study):
    grids = OmegaConf.load(f"conf/experiment/{study}.yaml").hydra.sweeper.grids
    jobs = jobs_of(grids_at_scale(OmegaConf.to_container(grids), "paper"), [])
    data = {setting.removeprefix("data=") for job in jobs for setting in job if setting.startswith("data=")}
    assert data == PAPERS_DATA.get(study, {"cifar10"})
    assert all(any(setting.startswith("data=") for setting in job) for job in jobs)


@pytest.mark.slow
@pytest.mark.parametrize("study", [*PAPERS_DATA, "learning_speed"])
def test_the_command_in_the_head_of_a_preset_launches_its_jobs(train, tmp_path, study):
    text = Path(f"conf/experiment/{study}.yaml").read_text(encoding="utf-8")
    (command,) = re.findall(r"^#   python train.py (.* data.path=DIR)", text, re.MULTILINE)
    dry = "hydra/launcher=slurm", "hydra.launcher.dry_run=true"
    result = train(*command.replace("DIR", str(tmp_path)).split(), *dry)
    grids = OmegaConf.to_container(OmegaConf.load(f"conf/experiment/{study}.yaml").hydra.sweeper.grids)
    assert result.code == 0 and result.out.count(f"data.path={tmp_path}") >= len(jobs_of(grids["paper"], []))


@pytest.mark.parametrize("quick", [[], ["abc"], "abc", {"model": "fcn"}, None], ids=str)
def test_what_is_no_list_of_grids_is_refused(quick):
    with pytest.raises(InvalidValue, match=r"^hydra.sweeper.grids.quick=.*: expected a list of grids"):
        grids_at_scale({"quick": quick, "paper": GRIDS}, "quick")


@pytest.mark.parametrize("study", STUDIES)
def test_every_job_of_every_study_composes(composed, request, study):
    """At both scales; no two jobs share a directory, and the scale is in it."""
    names = []
    for scale in SCALES:
        chosen = [f"experiment={study}", f"scale={scale}"]
        grids = composed(*chosen, return_hydra_config=True).hydra.sweeper.grids
        for grid in grids_at_scale(grids, scale):
            first_and_last = jobs_of([grid], [])[:: max(1, len(jobs_of([grid], [])) - 1)]
            for job in first_and_last:
                config = composed(*chosen, *job)
                names.append(run_name(config))
                schemes = config.ensemble.inits or []
                assert all((request.config.rootpath / f"conf/init/{name}.yaml").is_file() for name in schemes)
                config.ensemble.inits = None  # only within a run is it known where they are looked for
                check_settings(config)
    assert len(set(names)) == len(names)
    assert isinstance(study_from(run_of(config).get("study")), Study)


def run_of(config):
    return Run(None, {"study": OmegaConf.to_container(config.study)}, {})
