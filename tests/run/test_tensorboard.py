"""TensorBoard shows every step of a run once, whatever it was continued from."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from orthontk.csv_rows import write_rows
from orthontk.loggers import tensorboard_logger


def log(directory, first_step, steps):
    logger = tensorboard_logger(directory, first_step)
    for step in steps:
        logger.log_metrics({"train/loss": 1 / (1 + step)}, step)
    logger.finalize("success")


def steps_of(directory, metric="train/loss"):
    events = EventAccumulator(str(directory / "tensorboard"))
    events.Reload()
    return [event.step for event in events.Scalars(metric)]


def test_a_run_that_was_killed_after_its_checkpoint(tmp_path):
    log(tmp_path, 0, range(7))
    log(tmp_path, 4, range(5, 9))
    assert steps_of(tmp_path) == list(range(9))


def test_a_run_begun_elsewhere_or_with_another_logger(tmp_path):
    """Its earlier steps are those of metrics.csv, less what is computed again."""
    rows = [{"step": step, "train/loss": 1 / (1 + step)} for step in range(7)]
    write_rows(tmp_path / "metrics.csv", [*rows[:2], {"step": 2, "test/loss": 0.5}, *rows[3:]],
               ["step", "train/loss", "test/loss"])  # fmt: skip
    log(tmp_path, 4, range(5, 9))
    log(tmp_path, 6, range(7, 9))
    assert steps_of(tmp_path) == [0, 1, 3, 4, 5, 6, 7, 8]
    assert steps_of(tmp_path, "test/loss") == [2]
