"""The inputs that `python -m orthontk.ntk` computes kernels on: from other data than the training's, or from a file."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.data.normalize import channel_statistics
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.probe import Probes, read_inputs


def test_own_inputs(run, recompute, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    code, _ = recompute(run, "--inputs", tmp_path / "x.npy", "--out", tmp_path / "own.safetensors")
    assert code == 0
    series = KernelSeries.read(tmp_path / "own.safetensors")
    assert series.kernels[0].shape == (3, 3, 10, 10) and torch.equal(series.probe["inputs"], torch.from_numpy(x))


def kernels(path):
    series = KernelSeries.read(path)
    return series.probe, series.kernels[-1]


def test_the_probes_data_may_differ_from_the_trainings(run, recompute, tmp_path):
    """Other classes, another source, fewer inputs than a batch has: the network stays the run's own."""
    for number, settings in enumerate(
        [
            ["data.keep_classes=[0,1]"],
            ["data.source=gaussian", "data.shape=[1,28,28]", "data.classes=4"],
            ["data.train_size=9", "data.keep_classes=[3,4,5]"],
        ]
    ):
        out = tmp_path / f"{number}.safetensors"
        code, printed = recompute(run, "--probe-size", 9, *settings, "--out", out)
        assert code == 0, printed.err
        assert kernels(out)[1].shape == (9, 9, 10, 10)
    code, printed = recompute(run, "data.seed=1", "data.pool=4", "--probe-size", 9)
    expected = "inputs of the shape that the network has, (1, 28, 28), not (1, 7, 7)"
    assert code == 1 and printed.err == f"error: data.pool=4: expected {expected}\n"


@pytest.mark.slow
def test_other_inputs_are_standardized_as_the_trainings_were(small, recompute, tmp_path):
    """The same digits, whichever subset they were drawn from, have the same kernels."""
    run = small("data.normalize=standardize", "checkpoint.keep=all").run_directory
    out = tmp_path / "other.safetensors"
    code, printed = recompute(run, "data.seed=1", "data.test_size=null", "--split", "test", "--out", out)
    assert code == 0, printed.err
    chosen, kernel = kernels(out)
    own = TensorDataModule("mnist_5k", train_size=60, val_size=20, batch_size=10)
    mean, std = channel_statistics(own.train.images)
    digits = TensorDataModule("mnist_5k").test
    inputs = (digits.images[chosen["indices"]] - mean.float()) / std.float()
    np.save(tmp_path / "x.npy", inputs.numpy())
    code, _ = recompute(run, "--inputs", tmp_path / "x.npy", "--out", tmp_path / "own.safetensors")
    assert code == 0
    torch.testing.assert_close(kernels(tmp_path / "own.safetensors")[1], kernel)


@pytest.mark.parametrize("scheme", ["none", "unit_norm", "standardize"])
def test_a_probe_is_standardized_by_the_trainings_statistics_however_these_were_normalized(scheme):
    settings = {
        "source": "gaussian",
        "shape": [3, 2, 2],
        "classes": 2,
        "train_size": 20,
        "test_size": 10,
        "batch_size": 10,
    }
    data = {"_target_": "orthontk.data.TensorDataModule", **settings, "normalize": scheme, "seed": 0}
    probes = Probes(OmegaConf.create({"data": data}), ["data.seed=1", "data.normalize=standardize"], size=10)
    own, other = (TensorDataModule(**settings, seed=seed) for seed in (0, 1))
    mean, std = channel_statistics(own.train.images)
    torch.testing.assert_close(probes.of(0)[0], (other.probe(10, "train")[0] - mean.float()) / std.float())


def test_the_same_images_normalized_otherwise_are_another_probe(run, recompute, tmp_path):
    out = tmp_path / "kernels.safetensors"
    assert recompute(run, "--probe-size", 10, "--out", out)[0] == 0
    before = out.read_bytes()
    code, printed = recompute(run, "--probe-size", 10, "--out", out, "data.normalize=unit_norm")
    assert code == 1 and f"error: out={out}: expected another file" in printed.err and out.read_bytes() == before
    other = tmp_path / "other.safetensors"
    for _ in range(2):
        assert recompute(run, "--probe-size", 10, "--out", other, "data.normalize=unit_norm")[0] == 0
    kernels = KernelSeries.read(other)
    assert kernels.settings["data"] == ["data.normalize=unit_norm"]
    assert not torch.equal(kernels.kernels[0], KernelSeries.read(out).kernels[0])


def test_data_that_are_at_another_place_now(small, recompute, image_folder, tmp_path):
    settings = "data=mnist", f"data.path={image_folder}", "data.train_size=60", "data.val_size=0", "data.test_size=20"
    run = small(*settings, "checkpoint.keep=all", "callbacks.ntk.steps=[]").run_directory
    (tmp_path / "moved").mkdir()
    for name in ("train", "test"):
        (image_folder / f"{name}.parquet").rename(tmp_path / "moved" / f"{name}.parquet")
    gone = OmegaConf.load(run / "config.yaml")
    gone.data.path = str(tmp_path / "gone")
    OmegaConf.save(gone, run / "config.yaml")
    code, printed = recompute(run, "--probe-size", 10)
    assert code == 1 and "data.path=" in printed.err
    code, printed = recompute(run, f"data.path={tmp_path}/moved", "--probe-size", 10)
    assert code == 0, printed.err


@pytest.mark.parametrize(
    "array, accepted",
    [
        (np.zeros((2, 3), complex), "real numbers"),
        (np.array([["a"] * 3]), "real numbers"),
        (np.array([[1, 2, np.nan]]), "finite numbers"),
        (np.zeros((0, 3)), "one or more inputs of shape"),
        (np.zeros(()), "one or more inputs of shape"),
        (np.zeros((2, 4)), "one or more inputs of shape"),
    ],
    ids=str,
)
def test_inputs_of_a_file_are_real_finite_and_of_the_networks_shape(tmp_path, array, accepted):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InvalidValue, match=f"^inputs=.*: expected .*{accepted}"):
        read_inputs(tmp_path / "x.npy", (3,))
    np.save(tmp_path / "x.npy", np.ones((2, 3), dtype="uint8"))
    assert torch.equal(read_inputs(tmp_path / "x.npy", (3,)), torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [">f4", ">f8", "<f4", ">i2"])
def test_inputs_of_a_file_may_have_either_byte_order(tmp_path, dtype):
    array = np.array([[1, -2, 3]], dtype=dtype)
    np.save(tmp_path / "x.npy", array)
    expected = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float32 if dtype.endswith("f4") else torch.float64)
    torch.testing.assert_close(read_inputs(tmp_path / "x.npy", (3,)), expected, rtol=0, atol=0)


def test_files_that_are_no_arrays(tmp_path):
    (tmp_path / "empty.npy").write_bytes(b"")
    np.savez(tmp_path / "several.npz", a=np.ones(3), b=np.ones(3))
    for name in ("empty.npy", "several.npz"):
        with pytest.raises(InvalidValue, match=r"^inputs=.*: expected a .npy file of real numbers"):
            read_inputs(tmp_path / name, (3,))
