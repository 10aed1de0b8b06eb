"""Spreads of the Jacobian's spectrum, made up so that the verdict is known."""

import itertools

import pandas as pd
import pytest

from orthontk.report.apart import name_differences
from orthontk.report.claims import SUPPORTED
from orthontk.report.gather import Run
from orthontk.studies import DynamicalIsometry

VARIANCES = {"critical": None, "weight_var": 1.05, "bias_var": 2e-5}


@pytest.fixture
def study() -> DynamicalIsometry:
    return DynamicalIsometry(spread_ratio_above=2.0, prediction_margin=0.25)


def runs(folder, *models: dict) -> list[Run]:
    """Six seeds of each initialization; the Gaussian spread is four times the other."""
    found = []
    for model, init, seed in itertools.product(models, ("gaussian", "orthogonal"), range(6)):
        target = "orthontk.networks.FCN"
        settings = {"_target_": target, "activation": "tanh", "depth": 20, "width": 128, **model}
        run = Run(folder, {"model": settings, "init": {"scheme": init}, "seed": seed}, {})
        spread = 4.0 if init == "gaussian" else 1.0
        run.rows = [
            {"step": step, "jacobian/relative_variance": spread, "jacobian/mean_square": 1.0} for step in (0, 9)
        ]
        found.append(run)
    return found


def test_explicit_variances_are_a_regime_of_their_own(study, tmp_path):
    """Without the q* that the presets name it by."""
    table = study.table(runs(tmp_path, VARIANCES, VARIANCES | {"weight_var": 2.0}))
    claims = study.claims(table)
    where = [f"FCN tanh L=20 n=128 σ_w²={weight_var} σ_b²=2e-05" for weight_var in (1.05, 2.0)]
    ends = ("initialization", "end of training")
    assert [claim.where for claim in claims] == [f"{place}, {when}" for place in where for when in ends]
    assert {claim.verdict for claim in claims} == {SUPPORTED}
    assert [panel.title for panel in study.figure(table).panels] == where


def test_regimes_are_compared_by_q(study, tmp_path):
    resolved = [  # as runs write their settings
        {"critical": 1.0, "weight_var": 2.15, "bias_var": 0.15},
        {"critical": 0.0259, "weight_var": 1.05, "bias_var": 2e-5},
    ]
    found = runs(tmp_path, *resolved, VARIANCES)
    name_differences(found)
    table = study.table(found)
    claims = study.claims(table)
    assert sorted(claim.where for claim in claims) == [
        "FCN tanh L=20 n=128 q*=0.0259 against q*=1.0, end of training",
        "FCN tanh L=20 n=128 q*=0.0259 against q*=1.0, initialization",
        "FCN tanh L=20 n=128 q*=0.0259, end of training",
        "FCN tanh L=20 n=128 q*=0.0259, initialization",
        "FCN tanh L=20 n=128 σ_w²=1.05 σ_b²=2e-05, end of training",
        "FCN tanh L=20 n=128 σ_w²=1.05 σ_b²=2e-05, initialization",
    ]
    assert all(claim.interval.seeds == 6 for claim in claims)


def test_nothing_to_draw_draws_nothing(study, tmp_path):
    table = study.table(runs(tmp_path, VARIANCES)).iloc[:0]
    study.draw(table, tmp_path / "image.png", "none")
    assert not (tmp_path / "image.png").exists()


def test_a_setting_that_networks_do_not_have_hides_none_of_them(study, tmp_path):
    """A user's own network may have no depth, and data of one's own no name."""
    table = study.table(runs(tmp_path, {"critical": 1.0, "depth": None}))
    assert next(claim.where for claim in study.claims(table)) == "FCN tanh n=128 q*=1.0, initialization"
    both = pd.concat([table, table.assign(data="mnist")])
    assert [where for where, _ in study.panels(both)] == ["FCN tanh n=128 q*=1.0 mnist", "FCN tanh n=128 q*=1.0"]


def test_networks_without_a_twin_or_a_prediction_are_not_silent_beside_others(study, tmp_path):
    alone = [run for run in runs(tmp_path, VARIANCES | {"depth": 40}) if run.get("init.scheme") == "gaussian"]
    claims = study.claims(study.table([*runs(tmp_path, VARIANCES), *alone]))
    unjudged = [claim.where for claim in claims if claim.verdict.startswith("not judged: needs spectra")]
    assert unjudged == ["FCN tanh L=40 n=128 σ_w²=1.05 σ_b²=2e-05"] and len(claims) == 3
