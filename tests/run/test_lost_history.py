"""A run that continues without what it had measured is refused: its numbers would be relative to something else."""

import pytest
import torch

from orthontk.callbacks.prediction_series import PredictionSeries
from orthontk.callbacks.schedule import ScheduledCallback
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from run_files import assert_same_run

SETTINGS = (
    "trainer.max_steps=20",
    "checkpoint.every_n_steps=5",
    "callbacks.ntk.steps=5",
    "callbacks.ntk.probe_size=10",
)
PREDICTED = (
    "callbacks=[ntk,prediction,jacobian_spectrum]",
    "callbacks.prediction.test_size=20",
    "callbacks.prediction.steps=5",
    "callbacks.jacobian_spectrum.steps=5",
    "model.depth=4",
    "data.batch_size=full",
    "loss=mse",
)
ENSEMBLE = ("ensemble.seeds=2", "ensemble.kernels=all")
ENDING = ("loss=mse", "ensemble.learning_rates=[0.1,1e30]", "ensemble.kernels=all", "data.batch_size=full")


@pytest.fixture
def stop_after(monkeypatch):
    """End the process, as far as a test can, once a step has been computed."""

    def at(step):
        original = ScheduledCallback.on_train_batch_end

        def on_train_batch_end(self, trainer, *arguments):
            if trainer.global_step > step:
                monkeypatch.setattr(ScheduledCallback, "on_train_batch_end", original)
                raise RuntimeError("stopped")
            original(self, trainer, *arguments)

        monkeypatch.setattr(ScheduledCallback, "on_train_batch_end", on_train_batch_end)

    return at


@pytest.mark.parametrize(
    ("settings", "file", "step"),
    [
        ((), "metrics.csv", 10),
        ((), "ntk.safetensors", 10),
        (PREDICTED, "jacobian.safetensors", 10),
        (PREDICTED, "prediction.safetensors", 10),
        (ENSEMBLE, "chunks/0000/metrics.csv", 10),
        (ENSEMBLE, "replicas/*/ntk.safetensors", 10),
        pytest.param((*ENSEMBLE, *PREDICTED), "replicas/*/prediction.safetensors", 10, marks=pytest.mark.slow),
        # of a replica that has ended before
        (ENDING, "replicas/*lr1e+30/ntk.safetensors", 0),
        ((*PREDICTED, *ENDING), "replicas/*lr1e+30/prediction.safetensors", 0),
        ((*PREDICTED, *ENDING), "replicas/*lr1e+30/jacobian.safetensors", 2),
    ],
)
def test_what_is_gone_is_named(small, stop_after, tmp_path, settings, file, step):
    settings = (*SETTINGS, *settings, f"hydra.run.dir={tmp_path}/run")
    stop_after(12)
    assert "stopped" in small(*settings).err
    gone = sorted((tmp_path / "run").glob(file))[-1]
    content = gone.read_bytes()
    gone.unlink()
    for _ in range(2):  # nothing that the refused launch writes may pass for what is gone
        refused = small(*settings)
        assert refused.code == 1 and refused.err.count("\n") == 1
        assert f"{gone} with what was measured up to step {step}," in refused.err and "resume=never" in refused.err
    gone.write_bytes(content)
    assert small(*settings).code == 0


def test_the_rows_of_a_chunk_that_is_done_are_missed(small, tmp_path):
    settings = (*SETTINGS, *ENSEMBLE, "ensemble.chunk=1", f"hydra.run.dir={tmp_path}/run")
    directory = small(*settings).run_directory
    (directory / "summary.json").unlink()  # as if killed before its end
    gone = directory / "chunks" / "0000" / "metrics.csv"
    gone.unlink()
    refused = small(*settings)
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert f"{gone} with what was measured up to step 20" in refused.err and "resume=never" in refused.err


def test_a_series_of_before_the_checkpoint_is_refused(small, stop_after, tmp_path):
    settings = (*SETTINGS, f"hydra.run.dir={tmp_path}/run")
    stop_after(12)
    small(*settings)
    series = KernelSeries.read(tmp_path / "run" / "ntk.safetensors")
    series.keep_until(5)
    series.write()
    assert "ntk.safetensors with what was measured up to step 10" in small(*settings).err


def test_nothing_measured_before_the_checkpoint(small, stop_after, tmp_path):
    settings = (*SETTINGS, "callbacks.ntk.steps=[]", f"hydra.run.dir={tmp_path}/run")
    stop_after(12)
    small(*settings)
    assert not (tmp_path / "run" / "ntk.safetensors").exists()
    assert small(*settings).code == 0


@pytest.mark.parametrize("ensemble", [(), ENSEMBLE])
def test_kernels_that_overflow_are_measured_and_not_recorded(small, stop_after, monkeypatch, tmp_path, ensemble):
    overflown = torch.full((10, 10, 10, 10), torch.inf)
    monkeypatch.setattr("orthontk.callbacks.ntk.ntk_and_layer_shares", lambda *_, **__: (overflown, {}))
    settings = (*SETTINGS, *ensemble, f"hydra.run.dir={tmp_path}/run")
    stop_after(12)
    small(*settings)
    resumed = small(*settings)
    assert resumed.code == 0 and "continuing from" in resumed.out, resumed.err


@pytest.mark.parametrize("ensemble", [(), ENSEMBLE])
def test_what_was_measured_of_no_update_stays(small, monkeypatch, tmp_path, ensemble):
    """A study of initialization that is ended between its training of no step and its summary."""
    settings = (*ensemble, "trainer.max_steps=0", "checkpoint.keep=all")
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    with monkeypatch.context() as patch:
        patch.setattr("pytorch_lightning.Trainer.test", lambda *_, **__: 1 / 0)
        assert small(*settings, f"hydra.run.dir={tmp_path}/ended").code == 1
    ended = small(*settings, f"hydra.run.dir={tmp_path}/ended").run_directory
    assert_same_run(whole, ended)


def test_a_longer_run_keeps_the_outputs_that_were_measured(small, tmp_path):
    settings = (*SETTINGS, *PREDICTED)
    old = small(*settings, "checkpoint.keep=all", f"hydra.run.dir={tmp_path}/old").run_directory
    new = small(*settings, "trainer.max_steps=30", f"resume={old}", f"hydra.run.dir={tmp_path}/new").run_directory
    before, after = (PredictionSeries.read(run / "prediction.safetensors") for run in (old, new))
    assert list(after.actual["train"]) == list(after.predicted["train"]) == list(range(0, 31, 5))
    assert all((outputs == after.actual["train"][step]).all() for step, outputs in before.actual["train"].items())
    errors = [errors_of(run) for run in (old, new)]
    assert errors[0] == {step: error for step, error in errors[1].items() if step <= 20}


def errors_of(run):
    return {row["step"]: row.get("ntk/prediction_error") for row in read_metrics(run / "metrics.csv")}
