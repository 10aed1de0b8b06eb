"""`python -m orthontk.wandb_report`: its blocks, read back from the JSON, and whether runs log what its panels show."""

import json
import os
import re
import subprocess
import sys

import pytest
import wandb_workspaces.reports.v2 as wr
import yaml
from wandb_backend import ENTITY, PROJECT
from wandb_workspaces.reports.v2 import internal

from orthontk.loggers import WandbRun
from orthontk.loggers.wandb_run import ALL_BUT_SEED
from orthontk.wandb_report.figures import FIGURES, Curve, ensemble_panels_of, figures_of
from presets import STUDIES

INITS = {"FCN": ("gaussian", "orthogonal"), "CNN": ("gaussian", "orthogonal", "delta_orthogonal")}
COMPARED = {  # by the settings of the networks in which a study's grids differ
    "depth_fluctuation": {"tanh": INITS["FCN"], "relu": INITS["FCN"]},
    "dynamical_isometry": {"": INITS["FCN"]},
    "kernel_convergence": {"FCN, relu": INITS["FCN"], "CNN, erf": INITS["CNN"]},
    "kernel_drift": INITS,
    "lazy_full_batch": INITS,
    "lazy_sgd": {"FCN, tanh": INITS["FCN"], "FCN, relu": INITS["FCN"], "CNN, tanh": INITS["CNN"]},
    "learning_speed": {"CNN": INITS["CNN"], "FCN": INITS["FCN"]},
}
ENSEMBLES = ("lazy_full_batch", "lazy_sgd", "learning_speed")


@pytest.fixture
def build(run_module, tmp_path):
    """`build("study=…")` is the command in this process; returns its exit code, what it printed, and its errors."""

    def command(*arguments):
        code, printed = run_module("orthontk.wandb_report", *arguments, f"paths.output_dir={tmp_path}")
        return code, printed.out, printed.err

    return command


def read_back(path):
    """The blocks as W&B's own library reads them."""
    content = json.loads(path.read_text())
    view = {"displayName": content["displayName"], "description": content["description"], "spec": content["spec"]}
    view["project"] = {"name": "", "entityName": ""}
    return wr.Report._from_model(internal.ReportViewspec.model_validate(view)).blocks


def grids_in(blocks):
    return [block for block in blocks if isinstance(block, wr.PanelGrid)]


@pytest.mark.parametrize("study", STUDIES)
def test_blocks_of_every_study(build, tmp_path, study):
    code, printed, _ = build(f"study={study}")
    path = tmp_path / study / "wandb_report-quick.json"
    assert code == 0 and f"Report: {path}" in printed
    blocks = read_back(path)
    assert blocks[0] == wr.H1(text=f"{study}, scale quick")
    claims = [block.text for block in blocks if isinstance(block, wr.P) and block.text]
    assert len(claims) == 1 and "laim " in claims[0] and claims[0] in printed
    headings = [block.text for block in blocks if isinstance(block, wr.H2)]
    assert headings[-3:] == ["Runs of one initialization each", "How to make the runs", "Settings"]
    (settings,) = [yaml.safe_load(block.code) for block in blocks if isinstance(block, wr.CodeBlock)]
    assert settings["study"]["_target_"].startswith("orthontk.studies.") and settings["grids"]
    grids = grids_in(blocks)
    assert len(grids) == (2 if study in ENSEMBLES else 1)
    pairs = [(init, network) for network, inits in COMPARED[study].items() for init in inits]
    assert [runset.name for runset in grids[-1].runsets] == [", ".join(filter(None, pair)) for pair in pairs]
    for runset, (init, network) in zip(grids[-1].runsets, pairs, strict=True):
        for word in filter(None, network.split(", ")):
            key, value = ("_target_", f"orthontk.networks.{word}") if word in INITS else ("activation", word)
            assert f"""Config("model.value.{key}") in ['{value}']""" in runset.filters
        assert runset.entity == runset.project == ""
        assert f"""Config("init.value.scheme") in ['{init}']""" in runset.filters
        assert f"""Config("name.value") in ['{study}']""" in runset.filters
        assert """Metric("JobType") in ['training']""" in runset.filters
    kind = settings["study"]["_target_"].rsplit(".", 1)[-1]
    assert len(grids[-1].panels) == len(FIGURES[kind]) + 1
    for panel, figure in zip(grids[-1].panels, FIGURES[kind], strict=False):
        if isinstance(figure, Curve):
            assert isinstance(panel, wr.LinePlot) and panel.x == wr.Metric("Step")
            assert panel.y == [wr.Metric(figure.metric)] and bool(panel.log_y) == figure.log_y
            assert panel.groupby == wr.Config("all_but_seed") and panel.groupby_rangefunc == "stddev"
        else:
            assert isinstance(panel, wr.ScatterPlot) and panel.log_x
            assert panel.x == wr.Config(figure.setting) and panel.y == wr.SummaryMetric(figure.metric)


def test_what_the_command_prints_is_the_list_of_blocks(build):
    _, printed, _ = build("study=learning_speed", "scale=paper")
    lines = printed.splitlines()
    assert lines[0].startswith("learning_speed, scale paper: Claim 4: ")
    first = "τ (minibatches) against learning rate"
    assert f"    ScatterPlot: {first}: summary:train/tau against config:optimizer.value.lr" in lines
    assert "    Custom chart: mean τ (minibatches) against learning rate" in lines
    assert sum(line.startswith("    runs ") for line in lines) == 1 + 5


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["study=lerning_speed"], f"study=lerning_speed: expected one of {', '.join(STUDIES)}"),
        (["study=deep_fcn"], f"study=deep_fcn: expected one of {', '.join(STUDIES)}"),
        ([], f"study=null: expected one of {', '.join(STUDIES)}"),
        (["study=lazy_sgd", "mode=on"], "mode=on: expected one of offline, online"),
        (["study=lazy_sgd", "scale=big"], "scale=big: expected one of quick, paper"),
        (
            ["study=lazy_sgd", "config_dir=nowhere"],
            "config_dir=nowhere: expected a folder with presets of your own, in experiment/",
        ),
    ],
)
def test_refusals(build, arguments, message):
    code, _, errors = build(*arguments)
    assert code == 1 and errors == f"error: {message}\n"


def test_a_question_of_ones_own(build, tmp_path, monkeypatch):
    """A preset elsewhere, its runs' name another, whose study is in no table here, gets the curves of its training."""
    (tmp_path / "mi ne,3" / "experiment").mkdir(parents=True)
    (tmp_path / "mi ne,3" / "experiment" / "moving.yaml").write_text(
        "# @package _global_\ndefaults: [override /model: fcn]\nname: moves\nscale: quick\n"
        "study: {_target_: moves_study.Moves}\nhydra: {sweeper: {grids: {quick: [{init: 'gaussian,orthogonal',"
        " model.activation: 'erf,tanh'}]}}}\n"
    )
    study = 'from orthontk.studies import Study\n\n\nclass Moves(Study):\n    """Look at it."""\n'
    (tmp_path / "moves_study.py").write_text(f'"""Claim: it moves."""\n\n{study}')
    monkeypatch.syspath_prepend(str(tmp_path))
    code, printed, errors = build("study=moving", f"config_dir={tmp_path}/mi ne,3")
    assert code == 0, errors
    blocks = read_back(tmp_path / "moves" / "wandb_report-quick.json")
    command = f"python train.py '--config-dir={tmp_path}/mi ne,3' -m experiment=moving scale=quick logger=wandb\n"
    assert any(command in block.text for block in blocks if isinstance(block, wr.MarkdownBlock))
    (grid,) = grids_in(blocks)
    names = ["gaussian, erf", "gaussian, tanh", "orthogonal, erf", "orthogonal, tanh"]
    assert [runset.name for runset in grid.runsets] == names
    assert printed.startswith("moves, scale quick: Claim: it moves.")


def test_initializations_of_ones_own_are_told_apart_by_their_settings(build, tmp_path):
    scheme = "_target_: orthontk.init.initialize\nscheme: {_target_: mine.power, power: %s}\n"
    files = {
        "init/half": scheme % 0.5,
        "init/full": scheme % 1,
        "init/kaiming": "_target_: mine.kaiming\n",
        "experiment/own": "# @package _global_\ndefaults: [kernel_drift, _self_]\nname: own\n"
        "hydra: {sweeper: {grids: {quick: [{init: 'gaussian,half,full,kaiming'}]}}}\n",
    }
    for name, text in files.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / f"{name}.yaml").write_text(text)
    code, _, errors = build("study=own", f"config_dir={tmp_path}/mine")
    assert code == 0, errors
    (grid,) = grids_in(read_back(tmp_path / "own" / "wandb_report-quick.json"))
    filters = {runset.name: runset.filters for runset in grid.runsets}
    assert filters["gaussian"].endswith("""Config("init.value.scheme") in ['gaussian']""")
    for name, power in (("half", 0.5), ("full", 1)):
        of_scheme = """Config("init.value.scheme._target_") in ['mine.power'] and """
        assert filters[name].endswith(f'{of_scheme}Config("init.value.scheme.power") in [{power}]')
    assert filters["kaiming"].endswith("""Config("init.value._target_") in ['mine.kaiming']""")


@pytest.mark.slow
def test_presets_are_judged_by_what_they_compose_to(build, tmp_path):
    """One that inherits its study is a study; empty ones, and ones that cannot be composed, are in nobody's way."""
    presets = tmp_path / "mine" / "experiment"
    presets.mkdir(parents=True)
    (presets / "heir.yaml").write_text("# @package _global_\ndefaults: [learning_speed, _self_]\nname: heir\n")
    for name, text in (("empty", ""), ("comment", "# later\n"), ("broken", "defaults: [nowhere]\n")):
        (presets / f"{name}.yaml").write_text(text)
    code, printed, errors = build("study=heir", f"config_dir={tmp_path}/mine")
    assert code == 0 and printed.startswith("heir, scale quick: Claim 4: "), errors
    for name in ("empty", "nowhere"):
        code, _, errors = build(f"study={name}", f"config_dir={tmp_path}/mine")
        assert code == 1 and errors == f"error: study={name}: expected one of {', '.join(sorted([*STUDIES, 'heir']))}\n"


# The smallest run of each study, and the ensembles among them with two seeds.
TINY = ("trainer.accelerator=cpu", "logger=wandb", "hydra.sweeper.grids=null")
IMAGES = ("model.width=8", "model.depth=4", "data.train_size=60", "data.test_size=20", "data.batch_size=10")
IMAGES = (*IMAGES, "data.normalize=none", "trainer.max_steps=4", "trainer.log_every_n_steps=1")
HELD_OUT = ("data.val_size=20", "trainer.val_check_interval=2")
SINGLE = ("ensemble.seeds=null", "ensemble.inits=null", "ensemble.learning_rates=null")
RUNS = {
    "kernel_convergence": ("data.shape=[20]", "model.width=8", "callbacks.kernel_convergence.draws=2"),
    "depth_fluctuation": ("model.width=8", "model.depth=2", "callbacks.kernel_fluctuation.draws=4"),
    "dynamical_isometry": IMAGES,
    "kernel_drift": ("model.width=8", "trainer.max_steps=2", "trainer.log_every_n_steps=1"),
    "lazy_full_batch": (*IMAGES, *HELD_OUT, *SINGLE),
    "lazy_sgd": (*IMAGES, *HELD_OUT, *SINGLE),
    "learning_speed": (*IMAGES, *SINGLE, "callbacks.tau.threshold=0.01"),
}


def logged(directory):
    """Names in the offline W&B run: of its history and summary, and its job type."""
    (recorded,) = directory.glob("wandb/offline-run-*/run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json"]
    whole = subprocess.run([*command, str(recorded)], capture_output=True, text=True, check=True).stdout
    records = [json.loads(line) for line in whole.splitlines()]
    history = {name for record in records if record["type"] == "history" for name in record["history"]["item"]}
    (run,) = [record["run"] for record in records if record["type"] == "run"]
    short = subprocess.run([*command[:-1], "--summary", "--json", str(recorded)], capture_output=True, text=True)
    return history, set(json.loads(short.stdout)["summary"]), run["job_type"]


@pytest.mark.slow
@pytest.mark.parametrize("study", STUDIES)
def test_runs_log_what_the_panels_show(train, study):
    run = train(f"experiment={study}", *TINY, *RUNS[study])
    assert run.code == 0, run.err
    history, summary, job_type = logged(run.run_directory)
    assert job_type == "training"
    config = yaml.safe_load((run.run_directory / "config.yaml").read_text())
    for figure in figures_of(config["study"]["_target_"].rsplit(".", 1)[-1]):
        if isinstance(figure, Curve):
            assert figure.metric in history and ALL_BUT_SEED in WandbRun(run.run_directory).run_config()
        else:
            group, key = figure.setting.split(".")
            assert figure.metric in summary and key in config[group]


@pytest.mark.slow
def test_ensembles_log_what_the_panels_show(train):
    settings = ("ensemble.seeds=2", "ensemble.learning_rates=[0.1,0.2]", "callbacks.tau.threshold=0.01")
    run = train("experiment=learning_speed", *TINY, *IMAGES, *settings, "ensemble.kernels=none", "callbacks=tau")
    assert run.code == 0, run.err
    history, summary, job_type = logged(run.run_directory)
    assert job_type == "ensemble"
    assert {f"train/tau/{init}/lr0.1" for init in ("gaussian", "orthogonal")} <= summary
    for panel in ensemble_panels_of("LearningSpeed"):
        if isinstance(panel, wr.LinePlot):
            assert any(re.search(panel.metric_regex, name) for name in history)
        else:
            assert panel.query["summaryTable"]["tableKey"] in summary


@pytest.mark.slow
def test_published(tmp_path, backend):
    """On W&B it is over the runs of its project, and its address is printed."""
    options = ["study=learning_speed", "mode=online", f"entity={ENTITY}", f"project={PROJECT}"]
    command = [sys.executable, "-m", "orthontk.wandb_report", *options, f"paths.output_dir={tmp_path}"]
    environment = {**os.environ, **backend.environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"Published: \S+/{ENTITY}/{PROJECT}/reports/learning_speed,-scale-quick--report", done.stdout)
    spec = internal.Spec.model_validate(backend.reports["learning_speed, scale quick"])
    (_, grid) = [block for block in spec.blocks if isinstance(block, internal.PanelGrid)]
    assert [runset.name for runset in grid.metadata.run_sets] == [
        *("gaussian, CNN", "orthogonal, CNN", "delta_orthogonal, CNN", "gaussian, FCN", "orthogonal, FCN")
    ]
    places = {(runset.project.entity_name, runset.project.name) for runset in grid.metadata.run_sets}
    assert places == {(ENTITY, PROJECT)}
    assert not backend.unknown
