"""Every study, from its preset to its figure, on networks of a few units."""

import json

import pandas as pd
import pytest

from orthontk.report.claims import UNDECIDED
from orthontk.report.write import report

TWO = "seed=0,1"
TINY = {
    "kernel_convergence": [
        "model=fcn", "data.shape=[6]", "model.width=4,8,16", "data.train_size=5",
        "callbacks.kernel_convergence.draws=4", "callbacks.kernel_convergence.inputs=5",
    ],
    "kernel_drift": ["model=fcn", "model.width=4,8,16", "trainer.max_steps=3", "study.smallest_width=4", TWO],
    "dynamical_isometry": ["model.depth=4", "model.width=8", "trainer.max_steps=2", "data.train_size=200", TWO],
    "lazy_full_batch": [
        "model=fcn", "model.width=8,16", "trainer.max_steps=4", "trainer.log_every_n_steps=2", "ensemble.seeds=2",
        "data.train_size=50", "data.val_size=50", "data.test_size=50",
    ],
    "lazy_sgd": [
        "model=cnn", "model.width=4,8", "trainer.max_steps=4", "trainer.log_every_n_steps=2", "ensemble.seeds=2",
        "data.train_size=50", "data.batch_size=10", "data.val_size=50", "data.test_size=50",
    ],
}  # fmt: skip
CLAIMS = {
    "kernel_convergence": 2 * 2 * 2,  # two for each initialization and kernel
    "kernel_drift": 3 * 2,  # the kernel's slope and change, the layers' order, for each initialization
    "dynamical_isometry": 2 * 2 + 2 * 2,  # theory for each initialization and regime, two ratios at both ends
    "lazy_full_batch": 2,  # the two losses
    "lazy_sgd": 2 * 2,  # of two initializations against the Gaussian one
}


QUICK = "kernel_convergence"


@pytest.mark.parametrize(
    "study", [QUICK, *(pytest.param(study, marks=pytest.mark.slow) for study in TINY if study != QUICK)]
)
def test_from_preset_to_verdict(train, tmp_path, study):
    result = train("-m", f"experiment={study}", *TINY[study])
    assert result.code == 0, result.err
    (judged,) = report(tmp_path / "outputs", tmp_path / "report").judged
    out = tmp_path / "report" / f"{study}-quick"
    assert (out / f"{study}.png").stat().st_size > 10_000
    table = pd.read_csv(out / "results.csv")
    assert {"family", "init", "depth", "width", "seed", "data"} <= set(table) and len(table) > judged.runs
    claims = json.loads((out / "verdict.json").read_text())["claims"]
    assert len(claims) == CLAIMS[study]
    assert {claim["verdict"] for claim in claims} == {UNDECIDED}  # of two seeds or four draws
    assert all(claim["reason"] or claim["expected"] == "> 0" for claim in claims)
    markdown = (tmp_path / "report" / "claims.md").read_text()
    assert all(claim["where"] in markdown for claim in claims)
