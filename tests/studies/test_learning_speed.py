"""Times to an accuracy, made up so that the claims are known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from orthontk.report.apart import name_differences
from orthontk.report.claims import SUPPORTED
from orthontk.report.gather import Run
from orthontk.report.trainings import trainings_of
from orthontk.studies import LearningSpeed

NETWORK = {"_target_": "orthontk.networks.FCN", "activation": "tanh", "depth": 5, "width": 64}
TAU = {"tau": {"threshold": 0.25}}
ENSEMBLE = {"inits": ["gaussian", "orthogonal"]}
RATES = (0.01, 0.02, 0.04)


@pytest.fixture
def study() -> LearningSpeed:
    return LearningSpeed(ratio_above=1.5, most_censored=0.5)


@pytest.fixture
def run(tmp_path):
    """An ensemble in which orthogonal τ is 20 and the Gaussian is 100, or censored at 400."""

    def make(censored=(), measured=range(6), run_at=lambda seed, rate: True) -> list[Run]:
        made = Run(
            tmp_path, {"model": NETWORK, "trainer": {"max_steps": 400}, "callbacks": TAU, "ensemble": ENSEMBLE}, {}
        )
        made.rows = []
        for seed in range(6):
            for init, tau in (("gaussian", 100), ("orthogonal", 20)):
                for rate in filter(lambda rate: run_at(seed, rate), RATES):
                    row = {"step": 1, "seed": seed, "init": init, "learning_rate": rate, "train/censored": 0}
                    lost = init == "gaussian" and (seed, rate) in censored
                    row |= {"train/censored": 1} if lost else {"train/tau": tau}
                    row |= {"lr/largest_stable": 0.1 + 0.01 * seed} if seed in measured else {}
                    made.rows.append(row)
        return trainings_of([made])

    return make


def found(study, run, statistic):
    (claim,) = [c for c in study.claims(study.table(run)) if statistic in c.statistic]
    return claim


def test_no_seed_is_left_out_for_being_censored_somewhere(study, run):
    """Each at another rate, so that few are at any; the note says how many are."""
    one = run(censored=[(0, 0.01), (1, 0.02), (2, 0.04)])
    equal = found(study, one, "at equal η, mean")
    assert equal.interval.estimate == pytest.approx(np.log(5))
    assert {found(study, one, s).interval.seeds for s in ("at equal η, mean", "η/η_max", "best")} == {6}
    note = "censored: 3 gaussian, 0 orthogonal; 3 of the 36 τ compared, which are in no ratio"
    assert equal.note == note and equal.verdict == SUPPORTED
    assert found(study, one, "slope").note == note


def test_a_time_of_no_update_counts_as_one_and_the_note_says_so(study, run):
    table = study.table(run())
    at_start = table.assign(tau=table.tau.mask((table.init == "orthogonal") & (table.seed < 2), 0))
    (equal,) = [claim for claim in study.claims(at_start) if "at equal η, mean" in claim.statistic]
    assert equal.interval.estimate == pytest.approx((4 * np.log(5) + 2 * np.log(100)) / 6)
    assert equal.note == "censored: 0 gaussian, 0 orthogonal; 6 τ of 0, which count as 1"


def test_seeds_that_were_not_run_at_every_rate_are_counted(study, run):
    claim = found(study, run(run_at=lambda seed, rate: seed > 0 or rate < 0.04), "at equal η, mean")
    assert claim.interval.seeds == 5
    assert claim.note.endswith("; 1 seed left out, without a run at every learning rate")


def test_where_no_seed_was_run_at_every_rate_nothing_is_claimed_of_equal_rates(study, run):
    claims = study.claims(study.table(run(run_at=lambda seed, rate: rate != RATES[seed % 3])))
    assert claims and not any("at equal η, mean" in claim.statistic for claim in claims)
    assert all(claim.interval.seeds > 0 for claim in claims)


def test_no_slope_is_claimed_of_seeds_that_learned_at_one_rate_alone(run):
    """Each rate by itself is usable, as few runs are censored there."""
    censored = [(seed, rate) for seed in range(6) for rate in RATES if rate != RATES[seed % 3]]
    generous = LearningSpeed(ratio_above=1.5, most_censored=0.7)
    claims = generous.claims(generous.table(run(censored=censored)))
    assert claims and not any("slope" in claim.statistic for claim in claims)
    assert all(claim.interval.seeds > 0 for claim in claims)


def test_a_seed_has_the_largest_rate_of_its_own_networks(study, run):
    table = study.table(run(measured=range(4)))
    shares = (table.fraction * (0.1 + 0.01 * table.seed) / table.learning_rate).groupby(table.seed).mean()
    np.testing.assert_allclose(shares, [1, 1, 1, 1, np.nan, np.nan])
    claim = found(study, run(measured=range(4)), "η/η_max")
    assert claim.interval.seeds == 4
    assert claim.note == "censored: 0 gaussian, 0 orthogonal; 2 seeds left out, without η_max of both networks"


def test_the_figure_has_one_point_for_each_rate(study, run):
    by_share = study.figure(study.table(run())).panels[1]
    assert by_share.x.label == "η/η_max" and {len(series.x) for series in by_share.series} == {len(RATES)}


def test_a_third_initialization_changes_no_claim_of_the_others(study, run):
    """Censored everywhere, or run at other seeds and rates."""
    shallow = study.table(run())
    deep = shallow.assign(depth=50, tau=shallow.tau.where(shallow.init == "gaussian", shallow.tau / 2))
    table = pd.concat([shallow, deep])
    third = table[table.init == "orthogonal"].assign(init="flat_orthogonal")
    (expected,) = [claim for claim in study.claims(table) if "deeper" in claim.claim]
    assert expected.verdict == SUPPORTED and expected.interval.estimate == pytest.approx(np.log(2))
    for other in (third.assign(censored=True, tau=np.nan), third[third.learning_rate > 0.01], third[third.seed < 3]):
        claims = [claim for claim in study.claims(pd.concat([table, other])) if "deeper" in claim.claim]
        assert expected in claims


def test_networks_without_gaussian_ones_are_not_silent_beside_others(study, run):
    table = study.table(run())
    alone = table[table.init == "orthogonal"].assign(depth=9)
    unjudged = [claim for claim in study.claims(pd.concat([table, alone])) if claim.verdict.startswith("not judged")]
    assert [claim.where for claim in unjudged] == ["FCN tanh L=9 n=64"]


def test_a_split_on_which_nothing_is_judged_says_why_beside_the_other_and_alone(study, run):
    train = study.table(run())
    test = train.assign(split="test", censored=True, tau=np.nan)
    unjudged = [claim for claim in study.claims(pd.concat([train, test])) if claim.verdict.startswith("not judged")]
    alone, other_seeds = study.claims(test), test[(test.init == "gaussian") == (test.seed < 3)]
    assert [claim.where for claim in unjudged + alone] == 2 * ["FCN tanh L=5 n=64 orthogonal, test τ"]
    needs = "not judged: needs a learning rate at which at most 50% of the runs of each are censored"
    assert {claim.verdict for claim in unjudged + alone} == {needs}
    assert study.claims(other_seeds) == []  # for want of runs that can be compared


def test_runs_at_shares_of_their_largest_rates_are_compared_at_equal_ones(tmp_path):
    """Though η differs from seed to seed, and beside runs at a given η, which are no share."""
    runs = []
    for seed, (init, tau), share in product(range(6), {"gaussian": 100, "orthogonal": 20}.items(), (0.3, 0.6)):
        for found in (None, share):
            rate = {"lr": share * (1 + seed) if found else share, "lr_fraction": found}
            config = {"model": NETWORK, "callbacks": TAU, "init": {"scheme": init}, "seed": seed, "optimizer": rate}
            runs.append(Run(tmp_path, config, {}))
            slow = 10 * seed if found else 0
            runs[-1].rows = [{"step": 1, "train/tau": tau + slow, "train/censored": 0, "lr/largest_stable": 1 + seed}]
    name_differences(runs)
    study = LearningSpeed(ratio_above=1.5, most_censored=0.2)
    table = study.table(runs)
    where = "FCN tanh L=5 n=64 at shares of η_max orthogonal, train τ"
    claims = {claim.statistic: claim for claim in study.claims(table) if claim.where == where}
    equal = claims["log(τ Gaussian/other) at equal η/η_max, mean over η/η_max"]
    expected = np.mean([np.log((100 + 10 * seed) / (20 + 10 * seed)) for seed in range(6)])
    assert equal.interval.seeds == 6 and equal.interval.estimate == pytest.approx(expected)
    best = claims["log(mean τ Gaussian/mean τ other), each at its best η/η_max"]
    assert best.interval.estimate == pytest.approx(np.log(125 / 45))
    assert claims["slope of log(τ Gaussian/other) in log η/η_max"].interval.estimate == pytest.approx(0)
    assert len(claims) == 3 and len({claim.where for claim in study.claims(table)}) == 2
    assert {panel.x.label for panel in study.figure(table).panels if panel.title == where.partition(" orth")[0]} == {
        "learning rate η/η_max",
        "η/η_max",
    }


def test_the_authors_times_stand_beside_the_same_training_alone(study, run):
    same = {"depth": 50, "width": 400, "data": "cifar10", "normalize": "none", "batch_size": 1000}
    table = study.table(run()).assign(**same)
    assert {row["authors"] for row in study.comparison(table)} == {30.8, 17.1}
    for other in ({"threshold": 0.5}, {"batch_size": 200}, {"data": "mnist"}, {"unit": "η/η_max"}):
        assert study.comparison(table.assign(**other)) == []
