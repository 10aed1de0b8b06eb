"""Real small runs whose verdicts are known beforehand."""

import json

import pandas as pd
import pytest

from orthontk.report.claims import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from orthontk.report.write import report
from orthontk.studies import DepthFluctuation

QUIET = ("logger=csv", "figures=false", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu")


def verdicts(folder, name):
    report(folder, folder / "report")
    studies = json.loads((folder / "report" / "verdict.json").read_text())
    return [claim for study in studies if study["study"] == name for claim in study["claims"]]


@pytest.fixture
def fluctuations(train, tmp_path):
    def judge(activation, weight_var, draws=200):
        result = train(
            "-m", "experiment=depth_fluctuation", "model.width=16", "model.depth=2,40", "init=gaussian,orthogonal",
            f"callbacks.kernel_fluctuation.draws={draws}", f"model.activation={activation}",
            f"model.weight_var={weight_var}",
        )  # fmt: skip
        assert result.code == 0, result.err
        found = verdicts(tmp_path / "outputs", "depth_fluctuation")
        return {claim["claim"]: claim for claim in found}

    return judge


GAUSSIAN = "deep and narrow, the NTK of Gaussian weights fluctuates as much as it is large"
ORTHOGONAL = "deep and narrow, the NTK of orthogonal weights hardly fluctuates"
GROWTH = "fluctuations of Gaussian weights grow with depth/width"
CONTROL = "control: without a tanh-like φ, fluctuations of orthogonal weights grow with depth/width as well"


@pytest.mark.slow
def test_without_nonlinearity_orthogonal_weights_do_not_fluctuate_at_all(fluctuations):
    claims = fluctuations("identity", 1.0)
    assert claims[ORTHOGONAL]["verdict"] == SUPPORTED and claims[ORTHOGONAL]["high"] < 1e-12
    assert claims[GAUSSIAN]["verdict"] == SUPPORTED and claims[GROWTH]["verdict"] == SUPPORTED


@pytest.mark.slow
def test_relu_fluctuates_with_orthogonal_weights_too(fluctuations):
    claims = fluctuations("relu", 2.0)
    assert claims.keys() == {GAUSSIAN, GROWTH, CONTROL}
    assert claims[CONTROL]["verdict"] == SUPPORTED and claims[GROWTH]["verdict"] == SUPPORTED


@pytest.mark.slow
def test_four_draws_decide_nothing(fluctuations):
    assert {claim["verdict"] for claim in fluctuations("tanh", 1.0, draws=4).values()} == {UNDECIDED}


def test_of_other_weights_than_orthogonal_ones_nothing_is_claimed():
    """Of a user's own least of all that they are orthogonal."""
    settings = {"family": "FCN", "activation": "tanh", "depth": 40, "width": 16, "depth_over_width": 2.5}
    draws = [settings | {"init": init, "theta": theta} for init in ("sparse", "orthogonal") for theta in (1, 1.01) * 9]
    (claim,) = DepthFluctuation(1.0, 0.03).claims(pd.DataFrame(draws))
    assert claim.claim == ORTHOGONAL and claim.where == "FCN tanh orthogonal L=40 n=16"


TWIN = """
def gaussian_again(draw):
    return draw
"""
TWIN_CONFIG = """
_target_: orthontk.init.initialize
_partial_: true
scheme: {_target_: twin_scheme.gaussian_again, _partial_: true}
coupled: false
"""
SPEED = (
    "experiment=learning_speed", "hydra.sweeper.grids=null", "model=fcn", "model.depth=6", "model.width=32",
    "data.train_size=1000", "data.test_size=200", "data.batch_size=100", "trainer.max_steps=60",
    "ensemble.learning_rates=[0.03,0.1,0.3]", "callbacks.tau.threshold=0.4", *QUIET,
)  # fmt: skip


@pytest.fixture
def twin(tmp_path, monkeypatch):
    """An initialization from outside that is Gaussian, with draws of its own."""
    (tmp_path / "twin_scheme.py").write_text(TWIN)
    (tmp_path / "conf" / "init").mkdir(parents=True)
    (tmp_path / "conf" / "init" / "twin.yaml").write_text(TWIN_CONFIG)
    monkeypatch.syspath_prepend(tmp_path)
    return f"--config-dir={tmp_path / 'conf'}"


@pytest.mark.slow
def test_gaussian_against_gaussian_with_other_draws_is_no_speed_up(train, twin, tmp_path):
    result = train(
        twin,
        "-m",
        *SPEED,
        "init.coupled=false",
        "ensemble.inits=[gaussian,twin]",
        "ensemble.seeds=16",
        "study.ratio_above=1.5",
    )
    assert result.code == 0, result.err
    claims = verdicts(tmp_path / "outputs", "learning_speed")
    assert len(claims) == 8  # four for each split
    assert SUPPORTED not in {claim["verdict"] for claim in claims}
    faster = [claim for claim in claims if claim["claim"].startswith("gaussian_again networks learn faster")]
    assert NOT_SUPPORTED in {claim["verdict"] for claim in faster}
    assert all(claim["seeds"] == 16 for claim in claims)


@pytest.mark.slow
def test_few_seeds_of_a_real_speed_up_decide_nothing(train, tmp_path):
    assert train("-m", *SPEED, "ensemble.seeds=3", "model.depth=12").code == 0
    claims = verdicts(tmp_path / "outputs", "learning_speed")
    assert claims and {claim["verdict"] for claim in claims} == {UNDECIDED}


@pytest.mark.slow
def test_runs_alone_are_judged_as_an_ensemble_is(train, tmp_path):
    """The same trainings, once as replicas and once as a multirun of single runs, give the same verdicts."""
    small = ("ensemble.learning_rates=[0.1,0.3]", "ensemble.seeds=5", "init.coupled=false")
    assert train("-m", *SPEED, *small).code == 0
    together = verdicts(tmp_path / "outputs", "learning_speed")
    for run in (tmp_path / "outputs" / "learning_speed").glob("*/summary.json"):
        run.unlink()
    alone = train(
        "-m", *SPEED, "ensemble.seeds=null", "ensemble.inits=null", "ensemble.learning_rates=null",
        "ensemble.stop=null", "seed=0,1,2,3,4", "init=gaussian,orthogonal",
        "optimizer.lr=0.1,0.3", "init.coupled=false",
    )  # fmt: skip
    assert alone.code == 0, alone.err
    apart = verdicts(tmp_path / "outputs", "learning_speed")
    assert [c["where"] for c in apart] == [c["where"] for c in together]
    for one, other in zip(apart, together, strict=True):
        assert one["estimate"] == pytest.approx(other["estimate"], abs=0.05)
