"""What an ensemble's figures say of replicas that end before the others."""

import pytest

from orthontk.ensemble.bands import band
from orthontk.figures.ensemble import bands
from orthontk.figures.taus import taus

REPLICA = {"init": "gaussian", "learning_rate": 0.1, "status": "finished", "steps": 9}


def result(train, test, **other):
    """A replica's row with its τ, None for one that is censored."""
    taus = {"train/tau": train, "test/tau": test}
    return (
        REPLICA | {f"{split}/censored": 0 for split in ("train", "test")} | other | {k: v for k, v in taus.items() if v}
    )


def test_each_panel_says_how_many_of_its_own_have_no_tau():
    results = [result(3, 4), result(5, None), result(None, None, status="diverged"), result(2, None, init="orthogonal")]
    train, test, *_ = taus(results).panels
    assert train.title == "gaussian: 1 diverged of 3"
    assert test.title == "gaussian: 1 censored and 1 diverged of 3; orthogonal: 1 censored of 1"
    entries = [{series.name for series in panel.series if series.in_legend} for panel in (train, test)]
    assert entries[0] == {"gaussian", "orthogonal", "gaussian: diverged"}
    assert entries[1] == {*entries[0], "gaussian: censored", "orthogonal: censored"}


def test_a_mean_tau_has_a_standard_error_of_the_replicas_that_have_one():
    results = [result(3, 4), result(5, 9), result(None, 9), result(7, 9, learning_rate=1.0)]
    figure = taus(results)
    (mean,) = [series for series in figure.panels[0].series if series.line]
    assert (mean.y, mean.bars) == ([4, 7], True)
    assert mean.low == pytest.approx([3, 7]) and mean.high == pytest.approx([5, 7])
    assert figure.intervals == "bars are a standard error of the mean over replicas with a τ"
    assert not taus([result(3, 4)]).panels[0].series[1].has_intervals


def test_replicas_without_a_tau_are_counted_at_each_learning_rate():
    low, high = [result(3, 4), result(None, 4), result(None, 4)], [result(3, 4, learning_rate=1.0)]
    figure = taus([*low, *high])
    assert figure.columns == 2 and len(figure.panels) == 4
    (train,), (test,) = (panel.series for panel in figure.panels[2:])
    assert (train.x, train.y, test.y) == ([0.1, 1.0], [pytest.approx(2 / 3), 0], [0, 0])
    assert len(taus(high).panels) == 2


def test_initializations_side_by_side_say_so_and_stay_at_their_learning_rate():
    results = [result(3, 4, init=init, learning_rate=rate) for init in SIX for rate in (0.1, 0.11)]
    figure = taus(results)
    assert figure.panels[0].x.label == "learning rate (initializations side by side)"
    assert figure.panels[0].x.ticks == [0.1, 0.11]
    places = [series.x for series in figure.panels[0].series if series.line]
    assert max(x[0] for x in places) < min(x[1] for x in places)
    assert "side by side" not in taus([result(3, 4)]).panels[0].x.label


def test_the_axis_of_tau_says_what_it_was_measured_on():
    labels = [panel.y.label for panel in taus([result(3, 4)]).panels]
    assert labels == ["τ on minibatches (updates)", "τ on the test set (updates)"]


def test_a_mean_says_where_its_replicas_become_fewer():
    """Three to step 2, two to step 4, of which one is measured at its own end only, and one to step 6."""
    kept = dict.fromkeys((0, 2, 4, 6), 1.0)
    curves = {0: kept, 1: {0: 3.0, 2: 3.0}, 2: {0: 2.0, 2: 2.0, 4: 3.0, 5: 9.0}}
    assert [(point.step, point.mean, point.replicas) for point in band(curves)] == [
        (0, 2.0, 3), (2, 2.0, 3), (4, 2.0, 2), (6, 1.0, 1)
    ]  # fmt: skip
    (panel,) = bands("train/loss", {("gaussian", 0.1): curves}).panels
    whole, left = panel.series
    assert (whole.name, whole.x, whole.line) == ("gaussian", [0, 2], "-")
    assert (left.name, left.x, left.line, left.low) == ("gaussian, those left", [2, 4, 6], "--", None)
    assert panel.title == "learning rate 0.1; left at the end: gaussian 1 of 3"


def test_what_the_last_replica_alone_was_measured_at_is_no_curve():
    """All end before the first validation: each is measured at its own end, of which the last one's is no mean."""
    ends_early = {0: {13: 0.2}, 1: {68: 0.3}}
    goes_on = {0: {50: 0.2}, 1: {50: 0.3, 100: 0.4}}
    figure = bands("val/accuracy", {("gaussian", 0.5): goes_on, ("orthogonal", 0.5): ends_early})
    (panel,) = figure.panels
    assert [series.name for series in panel.series] == ["gaussian", "gaussian, those left"]
    both = {("gaussian", 0.5): goes_on, ("gaussian", 2.0): ends_early}
    figure = bands("val/accuracy", both)
    assert len(figure.panels) == 1 and figure.columns == 1 and figure.title.endswith("; 1 of 2 learning rates")
    assert not bands("val/accuracy", {("gaussian", 2.0): ends_early}).panels
    alone = bands("val/accuracy", {("gaussian", 0.5): {0: {50: 0.2}}})
    assert alone.panels[0].series[0].x == [50]


def test_a_curve_of_one_point_has_a_marker():
    curves = {0: {0: 1.0}, 1: dict.fromkeys(range(12), 2.0)}
    (panel,) = bands("train/loss", {("gaussian", 0.1): curves}).panels
    assert [series.marker for series in panel.series] == ["o", ""]


def test_accuracies_at_different_learning_rates_share_their_scale():
    low, high = {0: {0: 0.1, 2: 0.2}}, {0: {0: 0.1, 2: 0.8}}
    figure = bands("val/accuracy", {("gaussian", 0.1): low, ("gaussian", 1.0): high})
    bottom, top = figure.panels[0].y.ends
    assert 0 < bottom < 0.1 and 0.8 < top < 1 and figure.panels[1].y == figure.panels[0].y
    assert bands("train/loss", {("gaussian", 0.1): low}).panels[0].y.ends == (None, None)


def test_a_mean_over_all_says_nothing():
    (panel,) = bands("train/loss", {("gaussian", 0.1): {0: {0: 1.0, 2: 2.0}, 1: {0: 1.0, 2: 2.0}}}).panels
    assert [series.x for series in panel.series] == [[0, 2]] and panel.title == "learning rate 0.1"


SIX = ("a", "b", "c", "d", "e", "f")


def test_every_initialization_is_drawn_in_a_look_of_its_own():
    curves = {0: {0: 1.0, 2: 2.0}, 1: {0: 1.0, 2: 2.0}}
    results = [result(3, 4, init=init) for init in SIX]
    figures = [bands("train/loss", {(init, 0.1): curves for init in SIX}), taus(results)]
    for figure in figures:
        looks = {series.name: (series.colour, series.line) for series in figure.panels[0].series if series.line}
        assert set(looks) == set(SIX) and len(set(looks.values())) == 6


def test_the_axis_begins_at_0_only_where_there_is_one():
    assert taus([result(3, 4), result(5, 9)]).panels[0].y.scale == "log"
    at_0 = [result(3, 4), REPLICA | {"train/tau": 0, "train/censored": 0}]
    assert taus(at_0).panels[0].y.scale == "symlog"


def test_learning_rates_that_are_left_out_are_counted():
    curves = {0: {0: 1.0, 2: 2.0}}
    figure = bands("train/loss", {("gaussian", rate / 10): curves for rate in range(1, 11)})
    assert len(figure.panels) == 6 and figure.title.endswith("; 6 of 10 learning rates")
    assert bands("train/loss", {("gaussian", 0.1): curves}).title.endswith("mean over seeds")


def test_a_band_that_is_cut_on_a_logarithmic_axis_says_so():
    wide, narrow = ({0: {0: 1.0}, 1: {0: other}} for other in (100.0, 1.1))
    cut = "bands are a standard deviation over seeds, cut at a tenth of the mean"
    assert bands("train/loss", {("gaussian", 0.1): wide}).intervals == cut
    assert bands("train/loss", {("gaussian", 0.1): narrow}).intervals == "bands are a standard deviation over seeds"
