"""Predicted beside actual training."""

import pytest
import torch
from safetensors.torch import load_file

from orthontk.loggers import read_metrics
from orthontk.training import TrainingModule
from run_files import without_times

LAZY = (
    "callbacks=[ntk,prediction,infinite_prediction]",
    "callbacks.prediction.test_size=20",
    "callbacks.infinite_prediction.test_size=20",
    "data.batch_size=full",
    "loss=mse",
    "trainer.max_steps=20",
    "trainer.precision=64-true",
)


def rows(run):
    return {row["step"]: row for row in read_metrics(run / "metrics.csv")}


def errors(run, suffix=""):
    name = f"ntk/prediction_error{suffix}"
    return {step: row[name] for step, row in rows(run).items() if name in row}


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_a_linear_network_is_predicted_exactly(small, loss, optimizer):
    """One layer is linear in its parameters, and its kernel that of infinite width: to rounding, at every step."""
    settings = (f"loss={loss}", f"optimizer={optimizer}", "optimizer.lr_fraction=0.3", "model.depth=1")
    run = small(*LAZY, *settings).run_directory
    assert list(errors(run)) == [0, 1, 2, 5, 10, 20]
    for suffix in ("", "_infinite"):
        assert max(errors(run, suffix).values()) < 1e-5
        for row in (rows(run)[step] for step in errors(run)):
            for split in ("train", "test"):
                for quantity in ("loss", "accuracy"):
                    predicted = row[f"predicted{suffix}/{split}/{quantity}"]
                    assert predicted == pytest.approx(row[f"actual/{split}/{quantity}"], rel=1e-5)
    assert rows(run)[20]["actual/train/loss"] < 0.9 * rows(run)[0]["actual/train/loss"]
    assert rows(run)[10]["actual/train/loss"] == pytest.approx(rows(run)[10]["train/loss"], rel=1e-6)


@pytest.mark.slow
def test_wide_networks_are_lazy_and_narrow_ones_are_not(small):
    settings = ("optimizer.lr_fraction=0.3", "model.activation=erf", "model.weight_var=1.5", "model.bias_var=0.1")
    narrow, wide = (small(*LAZY, *settings, f"model.width={n}").run_directory for n in (16, 1024))
    assert errors(wide)[20] < 0.1 * errors(narrow)[20]
    assert errors(wide)[20] < 0.02 and errors(wide, "_infinite")[20] < 0.2
    assert errors(narrow)[1] < errors(narrow)[20]
    row = rows(wide)[20]
    assert row["predicted/train/loss"] == pytest.approx(row["actual/train/loss"], rel=0.02)


def test_trace_predicts_without_the_blocks_between_outputs(small):
    run = small(*LAZY, "model.width=256", "callbacks.prediction.kernel=trace", "optimizer.lr_fraction=0.3")
    assert run.code == 0, run.err
    assert 0 < errors(run.run_directory, "_trace")[20] < 0.5


def test_file_and_figure_hold_what_was_logged(small):
    run = small(*LAZY, "optimizer.lr_fraction=0.3", "figures=true").run_directory
    assert (run / "figures" / "prediction.png").exists()
    tensors = load_file(run / "prediction.safetensors")
    assert tensors["actual/steps"].tolist() == tensors["predicted/steps"].tolist() == [0, 1, 2, 5, 10, 20]
    assert tensors["actual/train"].shape == (6, 60, 10) and tensors["predicted/test"].shape == (6, 20, 10)
    f, g = tensors["actual/train"].double(), tensors["predicted/train"].double()
    expected = ((f - g)[1:].norm(dim=(1, 2)) / (g[1:] - g[0]).norm(dim=(1, 2))).tolist()
    assert list(errors(run).values())[1:] == pytest.approx(expected, rel=1e-9)


def weights(run):
    (checkpoint,) = (run / "checkpoints").iterdir()
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def test_the_largest_kernel_counts_the_networks_outputs(small, monkeypatch):
    """One for two classes, where a network of one output learns them."""
    monkeypatch.setattr("orthontk.callbacks.prediction.LARGEST", 70)
    settings = "data=gaussian", "data.classes=2", "data.train_size=60", "data.batch_size=full", "loss=mse"
    callbacks = "callbacks=[ntk,prediction]", "callbacks.prediction.test_size=10"
    assert small(*settings, *callbacks, "model.out_features=1").code == 0
    refused = small(*settings, *callbacks)
    assert refused.code == 1 and "callbacks.prediction.kernel=full: expected a kernel of at most 70" in refused.err
    more = small(*settings, "data.train_size=75", "model.out_features=1", "callbacks=[ntk,infinite_prediction]")
    assert more.code == 1 and "callbacks.infinite_prediction.kernel=infinite: expected a kernel of at mo" in more.err


def test_training_is_untouched(small):
    settings = ("data.batch_size=full", "loss=mse", "optimizer=momentum", "trainer.max_steps=20")
    without = small(*settings).run_directory
    run = small(*LAZY, *settings, "trainer.precision=32-true").run_directory
    assert [r.get("train/loss") for r in rows(run).values()] == [r.get("train/loss") for r in rows(without).values()]
    for name, value in weights(run).items():
        assert torch.equal(value, weights(without)[name])


@pytest.mark.parametrize("step", [1, 6, 13])  # before any checkpoint, right after one, between two
def test_resumed_equals_uninterrupted(small, monkeypatch, tmp_path, step):
    settings = (*LAZY, "optimizer=momentum", "optimizer.lr_fraction=0.3", "checkpoint.every_n_steps=3")
    whole = small(*settings, f"hydra.run.dir={tmp_path}/whole").run_directory
    original = TrainingModule.training_step

    def failing(self, batch, batch_index):
        if self.global_step == step:
            raise RuntimeError("stopped")
        return original(self, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", failing)
    assert small(*settings, f"hydra.run.dir={tmp_path}/stopped").code == 1
    monkeypatch.setattr(TrainingModule, "training_step", original)
    resumed = small(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert ("continuing from" in resumed.out) == (step >= 3)
    for name in ("prediction.safetensors", "prediction_infinite.safetensors", "ntk.safetensors"):
        assert (whole / name).read_bytes() == (resumed.run_directory / name).read_bytes()
    before, after = (without_times(read_metrics(run / "metrics.csv")) for run in (whole, resumed.run_directory))
    assert before == after


def test_replicas_files_hold_the_end_though_it_is_no_checkpoint(small):
    settings = ("ensemble.seeds=2", "trainer.max_steps=5", "checkpoint.every_n_steps=4", "optimizer.lr=0.01")
    run = small(*LAZY, *settings).run_directory
    files = sorted(run.glob("replicas/*/prediction.safetensors"))
    assert [load_file(path)["actual/steps"].tolist() for path in files] == [[0, 1, 2, 5]] * 2


def test_other_settings_are_predicted_anew(small, monkeypatch, tmp_path):
    """In a directory given by hand, where a run was ended before its first checkpoint."""
    settings = (*LAZY, "checkpoint.every_n_steps=10")
    whole = small(*settings, "optimizer.lr=0.2", f"hydra.run.dir={tmp_path}/whole").run_directory

    def failing(self, batch, batch_index):
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", failing)
        assert small(*settings, "optimizer.lr=0.1", f"hydra.run.dir={tmp_path}/other").code == 1
    other = small(*settings, "optimizer.lr=0.2", f"hydra.run.dir={tmp_path}/other").run_directory
    assert errors(whole) == errors(other)
