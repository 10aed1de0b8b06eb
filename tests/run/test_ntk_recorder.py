"""Recording kernels: when, what, and without a trace in the training."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from orthontk.callbacks import NTKRecorder
from orthontk.callbacks.schedule import back_to_device, measured_steps
from orthontk.kernels import empirical_ntk
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics
from orthontk.training import TrainingModule


def losses(directory):
    return [(row["step"], row["train/loss"]) for row in read_metrics(directory / "metrics.csv") if "train/loss" in row]


def last_weights(directory):
    (checkpoint,) = (directory / "checkpoints").iterdir()
    return torch.load(checkpoint, weights_only=True)["state_dict"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_training_is_untouched(small, optimizer):
    """The same losses and weights, bit for bit, with kernels at every step and without any."""
    with_kernels = small(f"optimizer={optimizer}", "callbacks.ntk.steps=1").run_directory
    without = small(f"optimizer={optimizer}", "callbacks.ntk.steps=[]", "callbacks.weights.steps=[]").run_directory
    assert (with_kernels / "ntk.safetensors").exists() and not (without / "ntk.safetensors").exists()
    assert losses(with_kernels) == losses(without) and len(losses(without)) == 6
    weights = last_weights(without)
    assert all(torch.equal(value, weights[name]) for name, value in last_weights(with_kernels).items())


def test_series_and_metrics_agree(small):
    run = small("callbacks.ntk.steps=2").run_directory
    series = KernelSeries.read(run / "ntk.safetensors")
    assert series.steps == [0, 2, 4, 6]
    assert series.probe["labels"].bincount().tolist() == [1] * 10
    rows = {row["step"]: row for row in read_metrics(run / "metrics.csv")}
    first = series.kernels[0].double()
    for step, kernel in zip(series.steps, series.kernels, strict=True):
        assert kernel.shape == (10, 10, 10, 10)
        change = (kernel.double() - first).norm() / first.norm()
        assert rows[step]["ntk/change"] == pytest.approx(change.item(), rel=1e-6)
        assert rows[step]["time/ntk"] > 0
    assert rows[0]["ntk/change"] == 0 < rows[2]["ntk/change"] < rows[6]["ntk/change"]
    assert rows[6]["weights/change/layer1"] > 0 and rows[0]["weights/isometry/layer3"] == 0


def test_the_kernel_at_initialization_is_measured_though_a_list_leaves_it_out(small):
    """Changes are relative to it."""
    listed, all_of_them = (small(f"callbacks.ntk.steps={steps}").run_directory for steps in ("[3,6]", "3"))
    changes = [
        {row["step"]: row.get("ntk/change") for row in read_metrics(run / "metrics.csv") if row["step"] in (0, 3, 6)}
        for run in (listed, all_of_them)
    ]
    assert changes[0] == changes[1] and changes[0][0] == 0 < changes[0][3]


def test_zero_steps_still_measure(small):
    run = small("trainer.max_steps=0", "callbacks.ntk.steps=log").run_directory
    assert KernelSeries.read(run / "ntk.safetensors").steps == [0]
    (row,) = read_metrics(run / "metrics.csv")
    assert row["step"] == 0 and {"ntk/effective_rank", "weights/change/layer1", "test/accuracy"} <= row.keys()


def test_the_last_kernel_is_the_trained_networks(small):
    """Rebuild the network from the checkpoint and compute its kernel on the stored probe."""
    from orthontk.data import TensorDataModule
    from orthontk.networks import FCN

    run = small("callbacks.ntk.outputs=trace").run_directory
    net = FCN(784, 10, width=8, depth=3)
    weights = {name.removeprefix("network."): value for name, value in last_weights(run).items()}
    net.load_state_dict({name: value for name, value in weights.items() if name in net.state_dict()})
    series = KernelSeries.read(run / "ntk.safetensors")
    data = TensorDataModule("mnist_5k", train_size=60, val_size=20, batch_size=10)
    x, y, indices = data.probe(10)
    assert torch.equal(indices, series.probe["indices"]) and torch.equal(y, series.probe["labels"])
    assert torch.equal(empirical_ntk(net, x, outputs="trace"), series.kernels[-1])


def test_training_that_breaks_off_leaves_the_kernels_since_its_checkpoint(small, monkeypatch, tmp_path):
    original = TrainingModule.training_step

    def training_step(self, batch, batch_index):
        if self.global_step == 5:
            raise RuntimeError("out of memory")
        return original(self, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    result = small("callbacks.ntk.steps=1", "checkpoint.every_n_steps=4")
    assert result.code == 1 and "out of memory" in result.err
    (path,) = tmp_path.rglob("ntk.safetensors")
    assert KernelSeries.read(path).steps == [0, 1, 2, 3, 4, 5]

    def on_fit_start(self, trainer, pl_module):
        raise RuntimeError("no such device")

    monkeypatch.setattr(NTKRecorder, "on_fit_start", on_fit_start)  # resumed, it fails before it opens its file
    assert "no such device" in small("callbacks.ntk.steps=1", "checkpoint.every_n_steps=4").err
    assert KernelSeries.read(path).steps == [0, 1, 2, 3, 4, 5]


def test_diverged_run_is_stopped_and_recorded(small):
    result = small("model.activation=relu", "optimizer.lr=1e20", "trainer.max_steps=50", "callbacks.ntk.steps=10")
    assert result.code == 0, result.err
    assert "diverged" in result.out
    rows = read_metrics(result.run_directory / "metrics.csv")
    assert rows[-1]["step"] < 50


def test_an_end_is_part_of_a_schedule_only_if_asked_for():
    assert measured_steps("log", 1000)[-4:] == [100, 200, 500, 1000]
    assert measured_steps(7, 20) == [0, 7, 14, 20]
    assert measured_steps([3, 1], 20) == [0, 1, 3] and measured_steps([], 20) == []
    assert measured_steps("log", 0) == [0]


def test_what_is_measured_after_the_fit_is_measured_where_the_data_are():
    module = pl.LightningModule()
    module.layer = torch.nn.Linear(2, 1)
    elsewhere = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    back_to_device(elsewhere, module)
    assert module.device.type == "meta" and module.layer.weight.is_meta


def test_buffers_and_modes_are_the_trainings(tmp_path, seeded):
    """Spectral normalization iterates with every pass in training mode: one more would train another network."""
    layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(4, 4))
    frozen = torch.nn.BatchNorm1d(4).eval()
    dropping = torch.nn.Sequential(layer, frozen, torch.nn.Dropout(0.5))
    module = SimpleNamespace(network=torch.nn.Sequential(dropping, torch.nn.Tanh(), torch.nn.Linear(4, 2)))
    recorder = NTKRecorder()
    recorder.x, recorder.y = torch.eye(4), torch.tensor([0, 1, 0, 1])
    recorder.series = KernelSeries(tmp_path / "ntk.safetensors", {}, {})
    before = {name: value.clone() for name, value in module.network.state_dict().items()}
    recorder.measure(SimpleNamespace(loggers=[], is_global_zero=True, callback_metrics={}), module, 0)
    assert all(torch.equal(value, before[name]) for name, value in module.network.state_dict().items())
    assert [part for part in module.network.modules() if not part.training] == [frozen]
    assert torch.equal(recorder.series.kernels[0], empirical_ntk(module.network.eval(), recorder.x))


def test_a_series_of_which_nothing_is_kept_has_no_file(tmp_path):
    series = KernelSeries(tmp_path / "ntk.safetensors", {}, {})
    series.write()
    series.add(5, torch.eye(2))
    series.write()
    assert KernelSeries.read(series.path).steps == [5]
    series.keep_until(3)
    series.write()
    assert list(tmp_path.iterdir()) == []
