"""Changes of kernels and weights, made up so that their slopes are known."""

import numpy as np
import pandas as pd
import pytest

from orthontk.report.claims import SUPPORTED, TOO_MANY_LEFT_OUT
from orthontk.report.gather import Run
from orthontk.studies import KernelDrift

POWERS = {"NTK": 1, "first layer": 0.5, "hidden layers": 1, "last layer": 0.5}


@pytest.fixture
def study() -> KernelDrift:
    return KernelDrift(ntk_slope_above=0.5, change_margin=0.1, smallest_width=64, smallest_channels=8)


@pytest.fixture
def table() -> pd.DataFrame:
    """Of seven seeds, which differ a little."""
    settings = {"family": "FCN", "init": "gaussian", "activation": "erf", "depth": 4, "data": "cifar10"}
    generator = np.random.default_rng(0)
    rows = [
        settings | {"width": width, "seed": seed, "quantity": quantity, "train_loss": 0.0, "learning_rate": 0.5}
        | {"change": 0.05 * (64 / width) ** power * np.exp(0.01 * generator.standard_normal())}
        for width in (32, 64, 128, 256)
        for seed in range(7)
        for quantity, power in POWERS.items()
    ]  # fmt: skip
    return pd.DataFrame(rows).assign(diverged=False)


@pytest.mark.parametrize("diverged", [np.nan, np.inf])
def test_runs_that_diverged_are_left_out_of_every_claim_and_counted(study, table, diverged):
    for lost, verdict in ((1, SUPPORTED), (2, TOO_MANY_LEFT_OUT)):
        table.loc[(table.width == 256) & (table.seed < lost), ["change", "diverged"]] = diverged, True
        claims = study.claims(table)
        assert len(claims) == 3
        assert {(claim.verdict, claim.interval.seeds) for claim in claims} == {(verdict, 7 - lost)}
        assert all(f"{lost} of 21 runs diverged, and are left out" in claim.note for claim in claims)


def test_runs_that_were_not_measured_at_their_end_are_not_said_to_have_diverged(study, table, tmp_path):
    table.loc[(table.width == 256) & (table.seed < 2), "change"] = np.nan
    table.loc[(table.width == 128) & (table.seed < 1), ["change", "diverged"]] = np.nan, True
    notes = {claim.note.partition("; narrowest")[0] for claim in study.claims(table)}
    one, two = (
        f"{count} and are left out"
        for count in ("1 of 21 runs diverged,", "2 of 21 runs were not measured at their end,")
    )
    assert notes == {f"{one}; {two}"}
    run = Run(tmp_path, {"model": {"_target_": "orthontk.networks.FCN", "width": 64}}, {"diverged": True})
    run.rows = [{"step": 5, "ntk/change": 0.1}]
    assert study.table([run]).diverged.tolist() == [True]


def test_networks_too_narrow_for_the_slopes_are_not_counted(study, table):
    table.loc[table.width == 32, "change"] = np.nan
    assert not any("diverged" in claim.note for claim in study.claims(table))


def test_a_change_which_is_never_negative_is_expected_below_its_margin(study, table):
    assert study.claims(table)[1].expected == "< 0.1, shrinking with width"


def test_of_runs_that_measured_nothing_nothing_is_claimed(study, tmp_path):
    run = Run(tmp_path, {"model": {"_target_": "orthontk.networks.FCN", "width": 64}}, {})
    run.rows = [{"step": 9, "train/loss": 0.1}]
    assert study.claims(study.table([run])) == []


def test_a_change_of_part_of_the_training_is_none_of_the_whole(study, tmp_path):
    run = Run(tmp_path, {"model": {"_target_": "orthontk.networks.FCN", "width": 64}}, {})
    layers = {f"weights/change/layer{layer}": 0.1 for layer in (1, 2, 3)}
    run.rows = [{"step": 5, "ntk/change": 0.2} | layers, {"step": 9, "ntk/change": 0.3}, {"step": 9, "test/loss": 1.0}]
    assert study.table([run]).change.tolist()[0] == 0.3
    assert study.table([run]).change.isna().tolist() == [False, True, True, True]


def test_layers_are_compared_at_the_widths_that_all_of_them_have(study, table):
    """As where the weights of the widest networks were not measured."""
    table = pd.concat([table, table[table.width == 256].assign(width=512, change=0.05 / 8)])
    claims = study.claims(table[(table.width < 512) | (table.quantity == "NTK")])
    assert [claim.verdict for claim in claims] == 3 * [SUPPORTED]
    few, none = table[(table.width < 128) | (table.quantity == "NTK")], table[table.quantity == "NTK"]
    needs = "not judged: needs 3 widths of at least 64 that were measured, has 1"
    assert [claim.verdict for claim in study.claims(few)] == [SUPPORTED, SUPPORTED, needs]
    assert len(study.claims(none)) == 2


@pytest.mark.parametrize(("widths", "verdicts"), [(2, [SUPPORTED]), (1, [SUPPORTED]), (0, [])])
def test_of_few_widths_what_can_be_judged_is_and_the_rest_says_what_it_needs(study, table, widths, verdicts):
    claims = study.claims(table[table.width < 64 * 2**widths])
    needs = f"not judged: needs 3 widths of at least 64 that were measured, has {widths}"
    assert [claim.verdict for claim in claims] == [needs, *verdicts, needs]
    assert all(claim.plain()["estimate"] is None for claim in claims if claim.verdict == needs)


def test_layers_are_those_of_any_step(study, tmp_path):
    run = Run(tmp_path, {"model": {"_target_": "orthontk.networks.FCN", "width": 64}}, {})
    run.rows = [{"step": 9} | {f"weights/change/layer{number}": 0.1 for number in (1, 2, 3)}, {"step": 20}]
    assert {"first layer", "hidden layers", "last layer"} < set(study.table([run]).quantity)


def test_the_authors_slopes_stand_beside_the_same_training_alone(study, table):
    assert {row["authors"] for row in study.comparison(table)} == {-0.87, -0.48, -1.03, -0.58}
    for other in ({"activation": "relu"}, {"depth": 9}, {"data": "fashion_mnist"}, {"learning_rate": 0.05}):
        assert study.comparison(table.assign(**other)) == []
