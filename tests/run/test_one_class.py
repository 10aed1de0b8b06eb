"""Data of a single class, as studies of kernels have, are right or wrong in no meaningful way."""

import pytest

from orthontk.csv_rows import read_rows
from orthontk.figures.run import learning_curves
from orthontk.files import read_json
from small_run import SMALL

ONE_CLASS = (
    "data=gaussian",
    "data.shape=[6]",
    "data.classes=1",
    "data.val_size=4",
    "model.width=6",
    "model.depth=3",
    "loss=mse",
    "trainer.max_steps=2",
    "trainer.val_check_interval=1",
    "trainer.log_every_n_steps=1",
    "trainer.accelerator=cpu",
    "trainer.enable_progress_bar=false",
    "callbacks=none",
    "logger=csv",
    "figures=false",
)


@pytest.mark.parametrize("overrides", [(), ("ensemble.seeds=2",)], ids=["run", "ensemble"])
def test_shares_of_what_is_right_are_not_shown(train, overrides):
    result = train("model=fcn", *ONE_CLASS, *overrides)
    assert result.code == 0, result.err
    assert "accuracy" not in result.out
    names = {name for row in read_rows(result.run_directory / "metrics.csv") for name in row}
    assert {"train/loss", "val/loss", "test/loss"} <= names
    assert "accuracy" not in str(read_json(result.run_directory / "summary.json")) + str(names)


def test_the_learning_curves_are_those_of_the_loss():
    content = learning_curves([{"step": 0, "train/loss": 1.0}, {"step": 1, "train/loss": 0.5}])
    assert [panel.y.label for panel in content.panels] == ["loss"]


def test_it_has_no_learning_speed(train):
    refused = train("model=fcn", *ONE_CLASS, "callbacks=tau")
    assert refused.code == 1
    assert refused.err == (
        "error: callbacks.tau.threshold=0.25: expected data of several classes, as one has no accuracy\n"
    )


def test_its_kernel_has_no_alignment_with_the_labels(train):
    """It would be 0/0, which the closing table takes for a divergence."""
    result = train("model=fcn", *ONE_CLASS, "callbacks=ntk", "callbacks.ntk.probe_size=4")
    assert result.code == 0, result.err
    assert "NTK change" in result.out and "alignment" not in result.out and "diverged" not in result.out


def test_it_has_no_kernel_regression(train):
    refused = train("model=fcn", *ONE_CLASS, "callbacks=kernel_regression")
    assert refused.code == 1
    assert refused.err == (
        "error: callbacks.kernel_regression.kernels=null: expected data of several classes, as one has no accuracy\n"
    )


def test_the_study_of_fluctuations_shows_none(train):
    result = train(
        "experiment=depth_fluctuation", "model.depth=2", "model.width=4", "callbacks.kernel_fluctuation.draws=4"
    )
    assert result.code == 0, result.err
    assert "Var[Θ" in result.out and "accuracy" not in result.out


def test_fluctuations_need_a_single_output(train):
    """The line names settings that are then accepted: the test after training reads the loss, however short it was."""
    settings = ("callbacks=kernel_fluctuation", "callbacks.kernel_fluctuation.draws=4", "trainer.max_steps=0")
    settings = (*(setting for setting in SMALL if "ntk" not in setting), *settings, "data.keep_classes=[0,1]")
    refused = train("model=fcn", *settings)
    instead = ("model.out_features=1", "loss=mse")
    assert refused.code == 1 and all(setting in refused.err for setting in instead), refused.err
    assert train("model=fcn", *settings, *instead).code == 0
