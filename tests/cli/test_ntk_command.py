"""`python -m orthontk.ntk`: kernels from checkpoints equal those recorded while training."""

import runpy
import sys

import numpy as np
import pytest
import torch

from orthontk.kernels.kernel_series import KernelSeries


@pytest.fixture
def recompute(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["orthontk.ntk", *map(str, arguments)])
        monkeypatch.delitem(sys.modules, "orthontk.ntk", raising=False)
        code = 0
        try:
            runpy.run_module("orthontk.ntk", run_name="__main__")
        except SystemExit as end:
            code = end.code or 0
        return code, capsys.readouterr()

    return call


@pytest.fixture
def run(small):
    return small("checkpoint.keep=all", "callbacks.ntk.steps=2", "init=orthogonal").run_directory


def test_same_kernels_as_while_training(run, recompute):
    code, printed = recompute(run, "--probe-size", 10)
    assert code == 0, printed.err
    recorded, computed = (KernelSeries.read(run / f"{name}.safetensors") for name in ("ntk", "ntk-recomputed"))
    assert computed.steps == [2, 4, 6] and recorded.steps == [0, 2, 4, 6]
    assert torch.equal(computed.probe["indices"], recorded.probe["indices"])
    for now, then in zip(computed.kernels, recorded.kernels[1:], strict=True):
        assert torch.equal(now, then)


def test_continues_after_the_last_finished_checkpoint(run, recompute):
    recompute(run, "--outputs", "trace")
    path = run / "ntk-recomputed.safetensors"
    whole = path.read_bytes()
    series = KernelSeries.read(path)
    series.keep_until(4)
    series.write()
    assert path.read_bytes() != whole
    code, _ = recompute(run, "--outputs", "trace")
    assert code == 0 and path.read_bytes() == whole


def test_own_inputs(run, recompute, tmp_path):
    x = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    code, _ = recompute(run, "--inputs", tmp_path / "x.npy", "--out", tmp_path / "own.safetensors")
    assert code == 0
    series = KernelSeries.read(tmp_path / "own.safetensors")
    assert series.kernels[0].shape == (3, 3, 10, 10) and torch.equal(series.probe["inputs"], torch.from_numpy(x))


def test_refusals(run, recompute, tmp_path):
    np.save(tmp_path / "narrow.npy", np.zeros((3, 5), "float32"))
    np.save(tmp_path / "texts.npy", np.array(["a"]))
    for arguments, named in [
        ((tmp_path,), "RUN_DIRECTORY"),
        ((run, "model.width=3"), "settings=model.width=3"),
        ((run, "--probe-size", 61), "probe_size=61"),
        ((run, "--inputs", tmp_path / "nowhere.npy"), "inputs="),
        ((run, "--inputs", tmp_path / "narrow.npy"), "inputs=(3, 5)"),
        ((run, "--inputs", tmp_path / "texts.npy"), "inputs="),
        ((run, "--out", tmp_path / "nowhere" / "ntk.safetensors"), "out="),
        ((run, "--out", tmp_path / "narrow.npy"), "out="),
    ]:
        code, printed = recompute(*arguments)
        assert code == 1 and named in printed.err and printed.err.count("error: ") == 1
    recompute(run, "--probe-size", 10)
    code, printed = recompute(run, "--probe-size", 20)
    assert code == 1 and "another run or probe" in printed.err
