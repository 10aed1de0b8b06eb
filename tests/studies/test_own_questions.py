"""An activation, an initialization and a study of one's own, from outside the package, through configuration alone."""

import json
import shlex

import pytest

from orthontk.checks import InvalidValue
from orthontk.loggers import read_metrics
from orthontk.report.gather import Run
from orthontk.report.rerun import rerun_command
from orthontk.report.write import report
from orthontk.studies.from_settings import study_from

MODULE = '''
import pandas as pd
import torch

from orthontk.report.claims import below
from orthontk.report.statistics import bootstrap
from orthontk.studies import Study


class Sine(torch.nn.Module):
    def forward(self, z):
        return torch.sin(z)


def signs(draw):
    """Unit-variance weights that are +1 or -1."""
    return draw.sign()


class WeightsMove(Study):
    def __init__(self, bound):
        self.bound = bound

    def table(self, runs):
        return pd.DataFrame([run.settings() | {"moved": run.at_end("weights/change/layer1")} for run in runs])

    def claims(self, table):
        return [below("weights stay", where, "change of layer 1", bootstrap(_mean, part.moved),
                      self.bound) for where, part in self.panels(table)]

    def draw(self, table, path, title):
        path.with_suffix(".txt").write_text(title)


def _mean(values, axis=-1):
    return values.mean(axis=axis)
'''
PRESET = """
# @package _global_
defaults:
  - override /model: fcn
  - override /init: signs
name: weights_move
scale: quick
study: {_target_: my_questions.WeightsMove, bound: 10.0}
model:
  activation: {_target_: my_questions.Sine}
hydra:
  sweeper:
    grids:
      quick:
        - {seed: "0,1,2,3,4", model.width: 8}
"""
SIGNS = """
_target_: orthontk.init.initialize
_partial_: true
scheme: {_target_: my_questions.signs, _partial_: true}
coupled: false
"""


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A folder beside the package, with a module and configurations."""
    folder = tmp_path / "mine"
    (folder / "conf" / "experiment").mkdir(parents=True)
    (folder / "conf" / "init").mkdir()
    (folder / "my_questions.py").write_text(MODULE)
    (folder / "conf" / "experiment" / "weights_move.yaml").write_text(PRESET)
    (folder / "conf" / "init" / "signs.yaml").write_text(SIGNS)
    monkeypatch.syspath_prepend(folder)
    return folder / "conf"


@pytest.mark.parametrize(
    "way", ["--config-dir={}", pytest.param("hydra.searchpath=[file://{}]", marks=pytest.mark.slow)]
)
def test_all_three_at_once(small, outside, tmp_path, way):
    result = small(way.format(outside), "-m", "experiment=weights_move")
    assert result.code == 0, result.err
    runs = sorted((tmp_path / "outputs" / "weights_move").glob("*/summary.json"))
    assert len(runs) == 5 and all(run.parent.name.startswith("fcn-signs-Sine-L3-n8") for run in runs)
    report(tmp_path / "outputs", tmp_path / "report")
    (study,) = json.loads((tmp_path / "report" / "verdict.json").read_text())
    (claim,) = study["claims"]
    assert study["study"] == "weights_move" and claim["verdict"] == "supported" and claim["seeds"] == 5
    assert "5 runs" in (tmp_path / "report" / "weights_move-quick" / "weights_move.txt").read_text()


def test_the_weights_are_the_schemes(small, outside):
    import torch

    run = small(f"--config-dir={outside}", "init=signs", "trainer.max_steps=0").run_directory
    state = torch.load(next((run / "checkpoints").iterdir()), weights_only=True)["state_dict"]
    assert set(state["network.layers.0.weight"].unique().tolist()) == {-1.0, 1.0}


def test_the_reports_command_makes_the_run_again(small, train, outside):
    run = small(f"--config-dir={outside}", "init=signs").run_directory
    words = shlex.split(rerun_command(Run(run, {}, {})))
    assert words[:2] == ["python", "train.py"] and words[-1] == "resume=never"
    again = train(*words[2:]).run_directory
    first, second = (read_metrics(directory / "metrics.csv")[-1]["test/loss"] for directory in (run, again))
    assert again.name == f"{run.name}-2" and first == second


def test_a_study_that_draws_only_is_shown_as_it_drew(small, outside, tmp_path):
    text, own = (outside.parent / "my_questions.py").read_text(), outside.parent / "my_drawings.py"
    drawing = "from PIL import Image; Image.new('RGB', (40, 30)).save(path)"
    own.write_text(text.replace('path.with_suffix(".txt").write_text(title)', drawing))
    target = "study._target_=my_drawings.WeightsMove"
    assert small(f"--config-dir={outside}", "experiment=weights_move", target).code == 0
    report(tmp_path / "outputs", tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count('<img src="data:image/png;base64,') == 2  # in the overview and on the study's own page


@pytest.mark.parametrize(
    "override, words",
    [
        ("study._target_=my_questions.Sine", "study._target_=my_questions.Sine: expected a subclass of"),
        ("study._target_=my_questions.Typo", "study._target_=my_questions.Typo: expected a class that can be imported"),
        ("+study.bond=1", "study.bond: no such key, as WeightsMove does not take it; it takes bound"),
        ("study=none", "study=none: expected null, or a _target_"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("-m",)])
def test_a_study_that_judges_nothing_is_refused_before_anything_runs(small, outside, tmp_path, flags, override, words):
    result = small(f"--config-dir={outside}", *flags, "experiment=weights_move", override)
    assert result.code == 1 and words in result.err.splitlines()[-1]
    assert not list(tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize(
    "name, mistake, told",
    [("BOUND", "BOUND = math.squrt(2)", "has no attribute 'squrt'"), ("scipyy", "import scipyy", "named 'scipyy'")],
)
def test_what_importing_a_study_raises_is_told_with_its_line(tmp_path, monkeypatch, name, mistake, told):
    (tmp_path / f"mistyped_{name}").mkdir()
    file = tmp_path / f"mistyped_{name}" / "study.py"
    file.write_text(f"import math\n\n\n{mistake}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidValue, match=f"{told}.* at {file}:4"):
        study_from({"_target_": f"mistyped_{name}.study.Study"})


def test_the_report_goes_on_without_a_study_that_is_none(small, outside, tmp_path, capsys):
    run = small(f"--config-dir={outside}", "experiment=weights_move").run_directory
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("my_questions.WeightsMove", "my_questions.Sine"))
    report(tmp_path / "outputs", tmp_path / "report")
    printed = capsys.readouterr().out
    assert "study._target_=my_questions.Sine: expected a subclass of" in printed and "index.html" in printed


@pytest.mark.parametrize("damage", ["a: [", ""])
def test_settings_that_cannot_be_renewed_stop_no_other_job(small, outside, tmp_path, damage):
    words = f"--config-dir={outside}", "-m", "experiment=weights_move", "study.bound=3.0"
    small(*words, "seed=0")
    config = next(tmp_path.rglob("config.yaml"))
    config.write_text(damage)
    result = small(*words, "seed=0,1")
    assert result.code == 0 and f"warning: {config} is left as it is" in result.err
    assert config.read_text() == damage and len(list(tmp_path.rglob("summary.json"))) == 2


@pytest.mark.parametrize("flags", [(), ("-m",)])
def test_finished_runs_are_judged_by_the_study_that_they_are_launched_with_again(small, outside, tmp_path, flags):
    words = f"--config-dir={outside}", *flags, "experiment=weights_move", "seed=0"
    small(*words)
    summary = next(tmp_path.rglob("summary.json"))
    before = summary.stat().st_mtime_ns
    assert "study.bound" not in small(*words).out
    assert "study.bound is 20.0 now in the settings of 1 finished run" in small(*words, "study.bound=20.0").out
    (summary.parent / "config.yaml").write_text(
        (summary.parent / "config.yaml").read_text().replace("  bound: 20.0\n", "  bound: 20.0\n  gone: 1\n")
    )
    assert "study.gone is None now" in small(*words, "study.bound=20.0").out
    report(tmp_path / "outputs", tmp_path / "report")
    (study,) = json.loads((tmp_path / "report" / "verdict.json").read_text())
    assert study["claims"][0]["expected"] == "< 20" and summary.stat().st_mtime_ns == before
