"""Metrics that a study asks for and no run has."""

from pathlib import Path

import pandas as pd

from made_runs import make_drift
from orthontk.report.gather import Run
from orthontk.report.unmeasured import unmeasured
from orthontk.report.write import Reporter
from orthontk.studies import Study


def run_with(*metrics):
    run = Run(Path(), {}, {})
    run.rows = [{"step": 0, **dict.fromkeys(metrics, 1.0)}]
    return run


def test_a_mistyped_metric_is_named_beside_those_of_similar_names():
    runs = [run_with("ntk/change", "test/loss", "train/loss", "weights/change/layer1") for _ in range(2)]
    assert runs[0].at_end("weights/change/layr1") is None  # where the study may have raised an error
    ((metric, text),) = unmeasured(runs)
    assert metric == "weights/change/layr1" and text.startswith("which no run has; they have weights/change/layer1, ")
    assert text.endswith(", …") and "step" not in text


def test_a_metric_that_some_run_has_is_no_mistake():
    runs = [run_with("test/tau"), run_with("test/loss")]
    assert [run.at_end("test/tau") for run in runs] == [1.0, None] and not list(unmeasured(runs))


def test_runs_without_any_metric_have_none():
    run = run_with()
    run.at_end("a")
    assert list(unmeasured([run])) == [("a", "which no run has; they have none")]


def test_a_study_says_which_metric_no_run_has(tmp_path, monkeypatch):
    """Beside its claims, which are undecided then, or the error that a value of None leads to."""

    class Mistyped(Study):
        def table(self, runs):
            return pd.DataFrame([run.settings() | {"moved": run.at_end("ntk/chnge")} for run in runs])

        claims, draw = (lambda self, table: []), (lambda self, table, path, title: None)

    class Doubled(Mistyped):
        def table(self, runs):
            return pd.DataFrame([run.settings() | {"moved": 2 * run.at_end("ntk/chnge")} for run in runs])

    for kind in (Mistyped, Doubled):
        monkeypatch.setattr(f"orthontk.studies.{kind.__name__}", kind, raising=False)
        study = {"_target_": f"orthontk.studies.{kind.__name__}"}
        make_drift(tmp_path / kind.__name__, "FCN", 4, 0.2, name=kind.__name__, study=study)
    reporter = Reporter(tmp_path, tmp_path / "report")
    reporter.update()
    (judged,), (reason,) = reporter.judged, reporter.skipped.values()
    assert judged.claims[-1].verdict == "not judged: needs ntk/chnge, which no run has; they have ntk/change"
    assert "TypeError" in reason and "; it asks for ntk/chnge, which no run has; they have ntk/change" in reason
