"""The table that a run ends with."""

import pytest

from orthontk.csv_rows import read_metrics
from orthontk.files import write_json
from orthontk.run.directory import METRICS, SUMMARY
from orthontk.run.summary import show_summary


@pytest.mark.parametrize(
    "metrics, shown",
    [
        ({"train/tau": 7.0, "train/censored": 0.0}, ["τ on minibatches (updates)", "7"]),
        ({"test/censored": 1.0}, ["τ on the test set (updates)", "not reached"]),
    ],
)
def test_the_learning_speed_is_shown_or_said_not_to_be_reached(tmp_path, capsys, metrics, shown):
    write_json(tmp_path / SUMMARY, {"steps": 9, "diverged": False, "metrics": metrics})
    show_summary(tmp_path)
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in capsys.readouterr().out.splitlines()]
    assert shown in cells and sum("τ" in cell[0] for cell in cells) == 1


@pytest.mark.parametrize("settings", [(), ("ensemble.seeds=1",)])
def test_the_loss_at_the_end_is_that_of_the_last_minibatch(small, settings):
    run = small("trainer.log_every_n_steps=4", *settings).run_directory
    steps = [row["step"] for row in read_metrics(run / METRICS) if "train/loss" in row]
    assert steps == [0, 4, 5]
