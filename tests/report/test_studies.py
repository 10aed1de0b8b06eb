"""Which runs make a study, and what becomes of one that cannot be judged."""

import json

import pytest

from made_runs import DRIFT, make_drift
from orthontk.checks import InvalidValue
from orthontk.report.show import show
from orthontk.report.write import Reporter
from orthontk.studies import KernelDrift
from orthontk.studies.from_settings import study_from


@pytest.fixture
def reporter(tmp_path):
    return Reporter(tmp_path, tmp_path / "report")


def test_runs_with_different_margins_are_not_judged_by_those_of_one(tmp_path, reporter):
    make_drift(tmp_path, "FCN", 4, 0.2)
    make_drift(tmp_path, "FCN", 8, 0.1, study=DRIFT | {"change_margin": 0.3})
    reporter.update()
    assert reporter.judged == []
    (reason,) = reporter.skipped.values()
    assert "study.change_margin is 0.1 in FCN-4 and 0.3 in FCN-8" in reason


def test_what_a_users_study_raises_leaves_the_others_judged(tmp_path, reporter, monkeypatch):
    class Broken(KernelDrift):
        def claims(self, table):
            return [][1]

    monkeypatch.setattr("orthontk.studies.Broken", Broken, raising=False)
    make_drift(tmp_path, "FCN", 4, 0.2)
    make_drift(tmp_path / "own", "FCN", 4, 0.2, name="own", study=DRIFT | {"_target_": "orthontk.studies.Broken"})
    reporter.update()
    assert [study.name for study in reporter.judged] == ["drift"]
    (reason,) = reporter.skipped.values()
    line = Broken.claims.__code__.co_firstlineno + 1
    assert reason == f"cannot be judged (IndexError: list index out of range at {__file__}:{line})"


def test_studies_of_one_folder_that_are_skipped_are_named_one_by_one(tmp_path, reporter):
    for scale, width in (("quick", 4), ("paper", 8)):
        make_drift(tmp_path, "FCN", width, "nan", scale=scale)
    reporter.update()
    assert list(reporter.skipped) == ["study drift, scale paper", "study drift, scale quick"]


def test_expectations_are_told_from_the_authors_figures_and_infinite_ends_are_unknown(
    tmp_path, reporter, monkeypatch, capsys
):
    here = {"estimate": -0.995, "low": -float("inf"), "high": float("inf"), "seeds": 1}
    rows = [{"quantity": "a", "authors": -0.87, **here}, {"quantity": "b", "expected": -0.5, **here}]
    monkeypatch.setattr(KernelDrift, "comparison", lambda study, table: rows)
    make_drift(tmp_path, "FCN", 4, 0.2)
    reporter.update()
    reporter.write()
    texts = (tmp_path / "report" / "claims.md").read_text(), (tmp_path / "report" / "index.html").read_text()
    for text, row in zip(texts, ("| b | -0.5 (expected) | -0.995 [?, ?] | 1 |", '">-0.5 (expected)</td>'), strict=True):
        assert row in text and "-0.995 [?, ?]" in text and "inf]" not in text
    show(reporter.judged, {}, tmp_path)
    assert "-0.5 (expected)" in capsys.readouterr().out
    assert json.loads((tmp_path / "report" / "verdict.json").read_text())[0]["comparison"][0]["low"] is None


def test_a_study_that_draws_nothing_any_more_leaves_no_figure_of_other_runs(tmp_path, reporter, monkeypatch):
    monkeypatch.setattr(KernelDrift, "draw", lambda study, table, path, title: path.write_bytes(b"old"))
    make_drift(tmp_path, "FCN", 4, 0.2)
    reporter.update()
    assert reporter.judged[0].image.read_bytes() == b"old"
    monkeypatch.setattr(KernelDrift, "draw", lambda study, table, path, title: None)
    make_drift(tmp_path, "FCN", 8, 0.2)
    reporter.update()
    assert reporter.judged[0].image is None and not list((tmp_path / "report").rglob("*.png"))


def test_of_the_papers_studies_alone_it_is_said_that_the_images_are_others(tmp_path, reporter, monkeypatch):
    own = type("Own", (KernelDrift,), {})  # of this module
    monkeypatch.setattr("orthontk.studies.Own", own, raising=False)
    make_drift(tmp_path, "FCN", 4, 0.2)
    for name, target in (("drift", "KernelDrift"), ("own", "Own")):
        run = tmp_path / name / "drift" / "FCN-4"
        make_drift(tmp_path / name, "FCN", 4, 0.2, name=name, study=DRIFT | {"_target_": f"orthontk.studies.{target}"})
        config = (run / "config.yaml").read_text()
        (run / "config.yaml").write_text(config.replace("source: gaussian", "source: mnist_5k"))
    reporter.update()
    assert [study.data for study in reporter.judged] == [
        "Gaussian inputs, 5,000 embedded digits, not the paper's images",
        "5,000 embedded digits",
    ]


STUDIES = {
    "LazyTraining": ({"loss_margin": 0.1, "margin_reason": "a tenth"}, "losses"),
    "LearningSpeed": ({"ratio_above": 1.5, "most_censored": 0.5}, "callbacks=tau"),
    "DepthFluctuation": ({"gaussian_above": 0.5, "orthogonal_below": 0.1}, "callbacks=kernel_fluctuation"),
    "DynamicalIsometry": ({"spread_ratio_above": 2.0, "prediction_margin": 0.2}, "callbacks=jacobian_spectrum"),
    "KernelConvergence": (
        {"slope": -0.5, "slope_margin": 0.1, "bias_margin": 0.1, "largest_width": 64},
        "callbacks=kernel_convergence",
    ),
    "KernelDrift": (DRIFT, "callbacks=ntk"),
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_whose_runs_measured_nothing_says_what_measures_it(tmp_path, reporter, name):
    arguments, measured_by = STUDIES[name]
    run = make_drift(tmp_path, "FCN", 8, 0.1, study=arguments | {"_target_": f"orthontk.studies.{name}"})
    (run / "metrics.csv").write_text("step,time/total\n0,1.0\n9,2.0\n")
    reporter.update()
    reporter.write()
    assert reporter.skipped == {}
    (claim,) = reporter.judged[0].claims
    assert claim.verdict.startswith("not judged: needs ") and measured_by in claim.verdict


@pytest.mark.parametrize(
    "name, key, value, accepted",
    [
        ("LazyTraining", "loss_margin", -0.1, "a finite number above 0"),
        ("LearningSpeed", "ratio_above", -1, "a finite number above 0"),
        ("LearningSpeed", "most_censored", 2, "a finite number of at least 0 and below 1"),
        ("DepthFluctuation", "gaussian_above", -1, "a finite number of at least 0"),
        ("DepthFluctuation", "orthogonal_below", 0, "a finite number above 0"),
        ("DynamicalIsometry", "spread_ratio_above", 0, "a finite number above 0"),
        ("DynamicalIsometry", "prediction_margin", None, "a finite number above 0"),
        ("KernelConvergence", "slope", "steep", "a finite number"),
        ("KernelConvergence", "slope_margin", float("inf"), "a finite number above 0"),
        ("KernelConvergence", "bias_margin", -0.1, "a finite number above 0"),
        ("KernelConvergence", "largest_width", 0, "an integer of at least 1"),
        ("KernelDrift", "ntk_slope_above", float("nan"), "a finite number"),
        ("KernelDrift", "change_margin", -0.1, "a finite number above 0"),
        ("KernelDrift", "smallest_width", 0.5, "an integer of at least 1"),
        ("KernelDrift", "smallest_channels", 0, "an integer of at least 1"),
    ],
)
def test_a_threshold_that_no_claim_can_be_held_to_is_refused(name, key, value, accepted):
    settings = STUDIES[name][0] | {"_target_": f"orthontk.studies.{name}", key: value}
    with pytest.raises(InvalidValue) as refusal:
        study_from(settings)
    assert str(refusal.value) == f"study.{key}={value}: expected {accepted}"


def test_a_study_of_whose_claims_none_can_be_judged_says_what_it_needs(tmp_path, reporter, capsys):
    lazy = {"_target_": "orthontk.studies.LazyTraining", "loss_margin": 0.1, "margin_reason": "a tenth"}
    run = make_drift(tmp_path, "FCN", 8, 0.1, study=lazy, name="lazy")
    (run / "metrics.csv").write_text("step,train/loss\n0,1.0\n9,0.5\n")
    reporter.update()
    reporter.write()
    show(reporter.judged, {}, tmp_path)
    needs = "not judged: needs losses after an update of Gaussian weights and of another initialization"
    assert needs in (tmp_path / "report" / "claims.md").read_text()
    assert needs in (tmp_path / "report" / "index.html").read_text()
    assert needs[:10] in capsys.readouterr().out
    other = {"init": {"scheme": "orthogonal"}, "optimizer": {"lr": 0.1, "momentum": 0.9}}
    run = make_drift(tmp_path / "other", "FCN", 8, 0.1, study=lazy, name="lazy", **other)
    (run / "metrics.csv").write_text("step,train/loss\n0,1.0\n9,0.5\n")
    reporter.update()
    (claim,) = reporter.judged[0].claims
    assert claim.verdict.startswith(needs) and claim.verdict.endswith("; the runs are told apart by optimizer.momentum")
