"""`python -m orthontk.ntk`: kernels from checkpoints equal those recorded while training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from orthontk import probe
from orthontk.csv_rows import read_rows
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.loggers import read_metrics


def test_same_kernels_as_while_training(run, recompute):
    code, printed = recompute(run, "--probe-size", 10)
    assert code == 0, printed.err
    recorded, computed = (KernelSeries.read(run / f"{name}.safetensors") for name in ("ntk", "ntk-recomputed"))
    assert computed.steps == recorded.steps == [0, 2, 4, 6]
    assert torch.equal(computed.probe["indices"], recorded.probe["indices"])
    for now, then in zip(computed.kernels, recorded.kernels, strict=True):
        assert torch.equal(now, then)


@pytest.mark.parametrize("model", ["Random", "Normalized"])
def test_same_kernels_of_a_network_that_trains_in_another_mode(model, small, recompute, monkeypatch):
    """Dropout and BatchNorm: kernels are those of evaluation mode, and training does not notice."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "ensemble")
    own = f"model._target_=own_models.{model}", "checkpoint.keep=all"
    run = small(*own, "callbacks.ntk.steps=2").run_directory
    assert recompute(run, "--probe-size", 10)[0] == 0
    recorded, computed = (KernelSeries.read(run / f"{name}.safetensors") for name in ("ntk", "ntk-recomputed"))
    assert len(computed.kernels) == len(recorded.kernels) == 4
    assert all(map(torch.equal, computed.kernels, recorded.kernels))
    without = small(*own, "callbacks.ntk.steps=[]", "callbacks.weights.steps=[]").run_directory
    losses, alone = ([row.get("train/loss") for row in read_metrics(of / "metrics.csv")] for of in (run, without))
    assert losses == alone and None not in losses[:-1]


@pytest.mark.parametrize("made", ["run", "ensemble"])
def test_data_are_loaded_once(made, request, recompute, monkeypatch):
    directory, built = request.getfixturevalue(made), []
    build = probe.build_data
    monkeypatch.setattr(probe, "build_data", lambda config: built.append(config.data.seed) or build(config))
    code, printed = recompute(directory, "--probe-size", 10)
    assert code == 0, printed.err
    assert built == ([0] if made == "run" else [0, 1])


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


def test_a_damaged_checkpoint_is_passed_over(run, recompute):
    checkpoints = sorted((run / "checkpoints").glob("*.ckpt"))
    assert len(checkpoints) == 4
    checkpoints[1].write_bytes(checkpoints[1].read_bytes()[:1000])
    code, printed = recompute(run, "--probe-size", 10)
    assert code == 0 and f"warning: {checkpoints[1]} cannot be read" in printed.out, printed.err
    assert KernelSeries.read(run / "ntk-recomputed.safetensors").steps == [0, 4, 6]
    (run / "ntk-recomputed.safetensors").unlink()
    for checkpoint in checkpoints:
        checkpoint.write_bytes(b"")
    code, printed = recompute(run, "--probe-size", 10)
    assert code == 1 and f"error: RUN_DIRECTORY={checkpoints[0]}: expected a readable checkpoint" in printed.err


def test_a_checkpoint_that_is_whole_again_comes_in_the_order_of_steps(run, recompute):
    recompute(run, "--probe-size", 10)
    whole = (run / "ntk-recomputed.safetensors").read_bytes()
    (run / "ntk-recomputed.safetensors").unlink()
    checkpoint = sorted((run / "checkpoints").glob("*.ckpt"))[1]
    content = checkpoint.read_bytes()
    for damaged in (True, False):
        checkpoint.write_bytes(b"" if damaged else content)
        assert recompute(run, "--probe-size", 10)[0] == 0
    assert (run / "ntk-recomputed.safetensors").read_bytes() == whole


@pytest.mark.parametrize("damaged", [[4, 6], [0, 2, 4, 6]], ids=str)
def test_kernels_of_diverged_weights_are_left_out(run, recompute, damaged):
    for checkpoint in (run / "checkpoints").glob("*.ckpt"):
        content = torch.load(checkpoint, weights_only=False)
        if content["global_step"] in damaged:
            next(iter(content["state_dict"].values()))[0] = torch.nan
            torch.save(content, checkpoint)
    code, printed = recompute(run, "--probe-size", 10)
    path = run / "ntk-recomputed.safetensors"
    if len(damaged) == 4:
        expected = "a run that had not diverged before its first checkpoint"
        assert code == 1 and printed.err.endswith(f"error: RUN_DIRECTORY={run}: expected {expected}\n")
        assert not path.exists()
    else:
        assert code == 0 and printed.out.count("has kernels that are not finite; they are left out") == 2
        assert KernelSeries.read(path).steps == [0, 2] and f"Kernels after 0, 2 steps: {path}" in printed.out


@pytest.fixture
def ensemble(small):
    grid = ("ensemble.seeds=2", "ensemble.inits=[gaussian,orthogonal]", "ensemble.shared_batches=false")
    return small(*grid, "checkpoint.keep=all", "callbacks.ntk.steps=2").run_directory


def test_every_replica_of_an_ensemble(ensemble, recompute):
    """Each with the data, and so the probe, of its own seed."""
    code, printed = recompute(ensemble, "--probe-size", 10)
    assert code == 0, printed.err
    folders = sorted((ensemble / "replicas").iterdir())
    assert len(folders) == 4
    for folder in folders:
        recorded, computed = (KernelSeries.read(folder / f"{name}.safetensors") for name in ("ntk", "ntk-recomputed"))
        assert computed.steps == [0, 2, 4, 6] and computed.settings["replica"] == folder.name
        assert torch.equal(computed.probe["indices"], recorded.probe["indices"])
        for now, then in zip(computed.kernels, recorded.kernels, strict=True):
            torch.testing.assert_close(now, then)


def test_replicas_that_ended_before_their_chunk(small, recompute):
    """Stopped by their τ, with the weights that they ended with; those that diverge at once with the initial ones."""
    stops = "callbacks=[ntk,tau]", "callbacks.tau.threshold=0.3", "ensemble.stop=train_tau", "callbacks.ntk.steps=100"
    rates = "ensemble.learning_rates=[0.5,2,1e38]", "ensemble.seeds=3"
    run = small(*rates, *stops, "trainer.max_steps=60", "checkpoint.keep=all", "checkpoint.every_n_steps=40")
    rows = list(read_rows(run.run_directory / "replicas.csv"))
    stopped = [row for row in rows if row["status"] == "stopped"]
    diverged = [row for row in rows if row["status"] == "diverged"]
    assert len({row["steps"] for row in stopped}) > 2 and diverged
    code, printed = recompute(run.run_directory, "--probe-size", 10)
    assert code == 0, printed.err

    def folder_of(row):
        return run.run_directory / "replicas" / f"seed{row['seed']}-gaussian-lr{row['learning_rate']}"

    for row in stopped:
        folder = folder_of(row)
        recorded, computed = (KernelSeries.read(folder / f"{n}.safetensors") for n in ("ntk", "ntk-recomputed"))
        assert computed.steps[-1] == recorded.steps[-1] == row["steps"]
        torch.testing.assert_close(computed.kernels[-1], recorded.kernels[-1])
    assert [0] in [KernelSeries.read(folder_of(row) / "ntk-recomputed.safetensors").steps for row in diverged]


def test_one_replica_on_another_probe(ensemble, recompute, tmp_path):
    name = "seed1-orthogonal-lr2.0"
    code, printed = recompute(ensemble, "data.seed=7", "--replica", name, "--out", tmp_path / "new" / "own")
    assert code == 0, printed.err
    assert [path.parent.name for path in tmp_path.glob("new/own/*/*.safetensors")] == [name]
    series = KernelSeries.read(tmp_path / "new" / "own" / name / "ntk-recomputed.safetensors")
    own = KernelSeries.read(ensemble / "replicas" / name / "ntk.safetensors")
    assert not torch.equal(series.probe["indices"][:10], own.probe["indices"])


def test_refusals_of_an_ensemble(ensemble, recompute, small, tmp_path):
    weightless = small("ensemble.seeds=2").run_directory
    (tmp_path / "file").touch()
    for arguments, named in [
        ((ensemble, "--replica", "seed9-gaussian-lr2.0"), "replica=seed9-gaussian-lr2.0: expected one of"),
        ((ensemble, "--out", tmp_path / "file"), "file: expected a folder, for"),
        ((weightless,), "checkpoint.keep=all"),
    ]:
        code, printed = recompute(*arguments)
        assert code == 1 and named in printed.err and printed.err.count("error: ") == 1


def test_a_device_that_is_not_there_is_refused(run, recompute):
    code, printed = recompute(run, "--device", "cuda:99")
    assert code == 1 and printed.err.startswith("error: device=cuda:99: expected cpu")


def test_refusals(run, recompute, tmp_path):
    np.save(tmp_path / "narrow.npy", np.zeros((3, 5), "float32"))
    np.save(tmp_path / "texts.npy", np.array(["a"]))
    np.save(tmp_path / "x.npy", np.zeros((3, 1, 28, 28), "float32"))
    save_file({"kernels": torch.zeros(1)}, tmp_path / "others.safetensors")
    for arguments, named in [
        ((tmp_path,), "RUN_DIRECTORY"),
        ((run, "model.width=3"), "model.width=3: expected a setting of the data"),
        ((run, "data=cifar10"), "data=cifar10: expected a setting of the data, data.KEY=VALUE, such as data.source="),
        ((run, "--probe-size", 61), "probe_size=61"),
        ((run, "--inputs", tmp_path / "nowhere.npy"), "inputs="),
        ((run, "--inputs", tmp_path / "narrow.npy"), "inputs=(3, 5)"),
        ((run, "--inputs", tmp_path / "texts.npy"), "inputs="),
        ((run, "--inputs", tmp_path / "x.npy", "data.seed=7"), "error: data.seed=7: expected nothing beside --inputs"),
        ((run, "--inputs", tmp_path / "x.npy", "--split", "train"), "error: split=train: expected nothing beside"),
        ((run, "--inputs", tmp_path / "x.npy", "--probe-size", 0), "error: probe_size=0: expected nothing beside"),
        ((run, "--out", tmp_path / "nowhere" / "ntk.safetensors"), "out="),
        ((run, "--out", tmp_path / "narrow.npy"), "error: out="),
        ((run, "--out", tmp_path / "others.safetensors"), "others.safetensors: expected a new file, or one of this"),
        ((run, "--out", tmp_path), f"error: out={tmp_path}: expected a file in a folder that exists"),
        ((run, "--replica", "seed0"), "no ensemble"),
    ]:
        code, printed = recompute(*arguments)
        assert code == 1 and named in printed.err and printed.err.count("error: ") == 1
    recompute(run, "--probe-size", 10)
    code, printed = recompute(run, "--probe-size", 20)
    assert code == 1 and "another run or probe" in printed.err


def test_a_file_belongs_to_a_run_by_its_settings_not_its_place(run, recompute, small, tmp_path):
    """A folder may be renamed; runs of two folders may have one name."""
    moved = run.parent.with_name("renamed") / run.name
    assert recompute(run, "--probe-size", 10)[0] == 0
    run.parent.rename(moved.parent)
    code, printed = recompute(moved, "--probe-size", 10)
    assert code == 0, printed.err
    other = small("checkpoint.keep=all", "data.seed=0", "seed=1").run_directory
    same_name = tmp_path / "elsewhere" / "renamed" / run.name
    same_name.parent.mkdir(parents=True)
    other.rename(same_name)
    code, printed = recompute(same_name, "--probe-size", 10, "--out", moved / "ntk-recomputed.safetensors")
    assert code == 1 and "expected another file (--out): this one has kernels of another run" in printed.err
