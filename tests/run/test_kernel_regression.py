"""Kernel regression as a callback: the table, what is stored, and that training goes on untouched."""

import math

import pytest
import torch
import torch.nn.functional as F

from orthontk.callbacks.kernel_regression import fit_kernel
from orthontk.data import TensorDataModule
from orthontk.files import read_json
from orthontk.kernels import empirical_ntk, infinite_kernels
from orthontk.loggers import read_metrics
from orthontk.networks import FCN
from orthontk.regression import RIDGES

BOTH = "callbacks=[ntk,kernel_regression]"


def stored(run):
    return read_json(run / "kernel_regression.json")["kernels"]


def left_out_error(kernel, targets, ridge):
    """The mean over inputs of the squared error of the fit without that input, refitted N times."""
    errors = []
    for i in range(len(targets)):
        rest = [j for j in range(len(targets)) if j != i]
        dual = torch.linalg.solve(kernel[rest][:, rest] + ridge * torch.eye(len(rest)), targets[rest])
        errors.append((kernel[i, rest] @ dual - targets[i]).square().sum())
    return torch.stack(errors).mean().item()


def test_table_and_file_hold_every_kernel(small):
    result = small(BOTH, "trainer.max_steps=0")
    run = result.run_directory
    assert list(stored(run)) == ["infinite_ntk", "nngp", "empirical_ntk"]
    row = read_metrics(run / "metrics.csv")[0]
    for kernel, values in stored(run).items():
        line = next(line for line in result.out.splitlines() if kernel.replace("_", " ") in line)
        assert f"{values['test_accuracy']:.4g}" in line and f"{values['ridge']:.4g}" in line
        assert row[f"regression/{kernel}/test_accuracy"] == values["test_accuracy"] > 0.2  # chance: 0.1
    again = small(BOTH, "trainer.max_steps=0")
    assert again.out.startswith("finished already") and "leave-one-out" in again.out


def test_fits_repeat_a_naive_one(small):
    """Each kernel computed anew, each leave-one-out fit solved anew: same error, no better ridge, same predictions."""
    run = small(BOTH, "trainer.precision=64-true").run_directory
    data = TensorDataModule("mnist_5k", train_size=60, val_size=20, test_size=20, batch_size=10)
    x, test = data.train.images.double(), data.test.images.double()
    targets = F.one_hot(data.train.labels, 10).double()
    net = FCN(784, 10, width=8, depth=3).double()
    state = torch.load(
        small(BOTH, "trainer.precision=64-true", "trainer.max_steps=0").run_directory
        / "checkpoints"
        / "step-00000000.ckpt",
        weights_only=True,
    )["state_dict"]
    net.load_state_dict({name.removeprefix("network."): value for name, value in state.items() if "network" in name})
    infinite, across = infinite_kernels(net, x), infinite_kernels(net, test, x)
    kernels = {
        "infinite_ntk": (infinite.ntk, across.ntk),
        "nngp": (infinite.nngp, across.nngp),
        "empirical_ntk": (empirical_ntk(net, x, outputs="trace"), empirical_ntk(net, test, x, outputs="trace")),
    }
    for name, (kernel, test_kernel) in kernels.items():
        result = stored(run)[name]
        assert left_out_error(kernel, targets, result["ridge"]) == pytest.approx(
            result["leave_one_out_error"], rel=1e-6
        )
        candidates = [share * kernel.trace().item() / 60 for share in RIDGES[4:]]
        assert min(left_out_error(kernel, targets, r) for r in candidates) >= result["leave_one_out_error"] * (1 - 1e-6)
        predictions = test_kernel @ torch.linalg.solve(kernel + result["ridge"] * torch.eye(60), targets)
        accuracy = (predictions.argmax(1) == data.test.labels).double().mean().item()
        assert accuracy == pytest.approx(result["test_accuracy"], abs=1e-9)


def test_training_is_untouched(small):
    def losses(*arguments):
        rows = read_metrics(small(*arguments).run_directory / "metrics.csv")
        return [row["train/loss"] for row in rows if "train/loss" in row]

    assert losses(BOTH) == losses()


def test_a_network_without_a_quick_limit_has_its_empirical_kernel(small):
    image = ("data=gaussian", "data.shape=[1,4,4]", "data.val_size=0", "model=cnn", "model.readout=pool")
    assert list(stored(small(BOTH, *image).run_directory)) == ["empirical_ntk"]
    asked = small(BOTH, *image, "callbacks.kernel_regression.kernels=[nngp]")
    assert list(stored(asked.run_directory)) == ["nngp"]


def test_a_kernel_that_is_not_finite_has_no_accuracy():
    """Of NaN predictions the largest would be class 0."""
    kernel = torch.full((4, 4), math.nan)
    assert all(math.isnan(value) for value in fit_kernel(kernel, torch.eye(4), torch.eye(4), torch.zeros(4)).values())
