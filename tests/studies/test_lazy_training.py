"""Curves of two initializations, made up so that the verdict is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from orthontk.report.apart import name_differences
from orthontk.report.claims import SUPPORTED, TOO_MANY_LEFT_OUT, UNDECIDED
from orthontk.report.gather import Run
from orthontk.studies import LazyTraining

STEPS = (0, 100, 200, 300)


@pytest.fixture
def study() -> LazyTraining:
    return LazyTraining(loss_margin=0.1, margin_reason="a made-up one")


def curves(diverged: int = 0, data: str = "cifar10") -> pd.DataFrame:
    """Equal losses for eight seeds, of which the first orthogonal ones end as NaN."""
    settings = {"family": "FCN", "activation": "tanh", "depth": 3, "learning_rate": 1e-3, "width": 400, "data": data}
    rows = [
        settings | {"seed": seed, "init": init, "step": step, "curve": "train/loss", "value": np.exp(-step / 100)}
        for seed in range(8)
        for init in ("gaussian", "orthogonal")
        for step in STEPS
    ]
    table = pd.DataFrame(rows)
    table.loc[(table.init == "orthogonal") & (table.seed < diverged) & (table.step > 100), "value"] = np.nan
    return table


def test_equal_curves_are_alike(study):
    (claim,) = study.claims(curves())
    assert claim.verdict == SUPPORTED and claim.interval.estimate == 0 and claim.note == ""


def test_a_divergence_is_no_likeness(study):
    """Neither over the steps before it, nor unsaid, nor where many diverge and the rest is alike."""
    (some,) = study.claims(curves(diverged=2))
    assert some.interval.seeds == 6 and some.note == "2 seeds left out, without a finite loss of both at every step"
    assert some.verdict == TOO_MANY_LEFT_OUT
    (all_of_them,) = study.claims(curves(diverged=8))
    assert all_of_them.verdict == UNDECIDED


def test_an_infinite_loss_is_no_finite_one(study):
    """It would make the mean over seeds, and with it the claim, infinite."""
    table = curves()
    table.loc[(table.init == "orthogonal") & (table.seed == 0) & (table.step == 300), "value"] = np.inf
    (claim,) = study.claims(table)
    assert claim.verdict == SUPPORTED and claim.interval.seeds == 7
    assert claim.note == "1 seed left out, without a finite loss of both at every step"


def test_widths_of_one_initialization_alone_are_not_compared(study):
    wider = curves().assign(width=800)
    for alone in (wider[wider.init == "gaussian"], wider.assign(seed=wider.seed + 10 * (wider.init == "gaussian"))):
        (claim,) = study.claims(pd.concat([curves(), alone]))
        assert claim.where.endswith("n=400") and claim.verdict == SUPPORTED and claim.note == ""
        assert study.claims(alone) == []
    fewer = curves().query("init == 'gaussian' or seed < 5")
    assert [claim.verdict for claim in study.claims(fewer)] == [SUPPORTED]


def test_the_figure_shows_the_width_that_is_judged(study):
    wider = curves().assign(width=800)
    figure = study.figure(pd.concat([curves(), wider[wider.init == "gaussian"]]))
    assert figure.panels[0].title.endswith("n=400")
    assert [series.name for series in figure.panels[0].series] == ["gaussian", "orthogonal"]


def test_data_sets_are_judged_by_themselves(study):
    both = pd.concat([curves(), curves(data="mnist")])
    claims = study.claims(both)
    assert [claim.where for claim in claims] == [f"FCN tanh L=3 η=0.001 {data} n=400" for data in ("cifar10", "mnist")]
    assert all(claim.interval.seeds == 8 for claim in claims)


def test_the_authors_figures_stand_beside_the_same_training_alone(study):
    table = curves().assign(step=lambda t: t.step.replace(300, 1000))
    assert len(study.comparison(table)) == 2
    for other in ({"activation": "relu"}, {"data": "mnist"}, {"learning_rate": 0.5}):
        assert study.comparison(table.assign(**other)) == []


def test_a_panel_without_gaussian_weights_is_not_silent_beside_another(study):
    alone = curves().query("init == 'orthogonal'").assign(activation="relu")
    other, judged = study.claims(pd.concat([curves(), alone]))
    assert judged.verdict == SUPPORTED
    assert other.where == "FCN relu L=3 η=0.001" and other.verdict.startswith(
        "not judged: needs losses after an update"
    )


@pytest.mark.parametrize("fractions", [[0.1], [0.1, 0.3]])
def test_seeds_at_the_same_share_of_their_largest_rates_are_one_panel(study, tmp_path, fractions):
    runs = []
    for fraction, seed, init in product(fractions, range(5), ("gaussian", "orthogonal")):
        config = {"model": {"_target_": "FCN", "activation": "tanh", "depth": 3, "width": 64}, "seed": seed}
        config |= {"init": {"scheme": init}, "optimizer": {"lr": fraction * (1 + seed), "lr_fraction": fraction}}
        runs.append(Run(tmp_path, config, {}))
        runs[-1].rows = [{"step": step, "train/loss": 0.5} for step in STEPS]
    name_differences(runs)
    claims = study.claims(study.table(runs))
    names = [f" lr_fraction={fraction}" for fraction in fractions] if len(fractions) > 1 else [""]
    assert [claim.where for claim in claims] == [f"FCN tanh L=3{name} n=64" for name in names]
    assert {(claim.verdict, claim.interval.seeds) for claim in claims} == {(SUPPORTED, 5)}
