"""Curves of two initializations, made up so that the verdict is known."""

import numpy as np
import pandas as pd
import pytest

from orthontk.report.claims import SUPPORTED, UNDECIDED
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
    """Neither over the steps before it, nor unsaid."""
    (some,) = study.claims(curves(diverged=2))
    assert some.interval.seeds == 6 and some.note == "2 seeds left out, without a finite loss of both at every step"
    (all_of_them,) = study.claims(curves(diverged=8))
    assert all_of_them.verdict == UNDECIDED


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
