"""Errors that come from elsewhere, such as a user's own files, in one line that says where to look."""

from pathlib import Path

import pytest

from orthontk.meanfield.__main__ import main as meanfield


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Modules of a user's own."""
    (tmp_path / "no_syntax.py").write_text("x = 1\ndef f(:\n")
    (tmp_path / "own_scheme.py").write_text("import torch\n\ndef flat(normal):\n    return torch.zeros(2, 3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def assert_says(result, *parts):
    assert result.code == 1 and result.err.startswith(f"error: {parts[0]}"), result.err
    assert result.err.count("\n") == 1
    for part in parts[1:]:
        assert part in result.err, result.err


def test_a_sweep_over_nothing(small):
    assert_says(small("-m", "seed=range(2,1)"), "seed=range(2,1): expected at least one value")


def test_a_target_that_cannot_be_imported(small, modules):
    for target, why in [
        ("nowhere.Act", "No module named 'nowhere'; PYTHONPATH=FOLDER finds it if FOLDER has it, such as the one "),
        ("torch.nn.Nowhere", "No module named 'torch.nn.Nowhere'\n"),
        ("no_syntax.Act", f"{modules}/no_syntax.py, line 2: invalid syntax"),
    ]:
        refused = small(f"model.activation={{_target_:{target}}}")
        assert_says(refused, f"model.activation._target_={target}: expected the dotted name", why)
    assert_says(small("loss._target_=nowhere.Loss"), "loss._target_=nowhere.Loss: expected")
    assert_says(small("callbacks.ntk._target_=nowhere.NTK"), "callbacks.ntk._target_=nowhere.NTK: expected")


def test_a_scheme_of_another_shape(small, modules):
    refused = small("init.scheme={_target_:own_scheme.flat,_partial_:true}")
    assert_says(refused, "init.scheme=own_scheme.flat: expected weights of shape (8, ", "not shape (2, 3)")


@pytest.mark.parametrize("model", ["Random", "Normalized"])
def test_a_network_whose_training_its_kernel_does_not_tell(model, small, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "ensemble")
    own = f"model._target_=own_models.{model}", "data.batch_size=full", "callbacks.ntk.steps=[]"
    predicted = small(*own, "callbacks=[ntk,prediction]", "callbacks.prediction.test_size=20")
    assert_says(predicted, "callbacks.prediction.kernel=full: expected a network without Dropout or BatchNorm")
    rate = small(*own, "callbacks=[ntk,largest_stable_rate]")
    assert_says(rate, "callbacks.largest_stable_rate._target_=LargestStableRate: expected another callback, as ")


@pytest.mark.parametrize("flags", [(), ("-m",)])
def test_a_training_without_a_largest_stable_rate(flags, small, tmp_path):
    """Refused once, not in every job."""
    refused = small(*flags, "callbacks=[ntk,largest_stable_rate]", "optimizer=adam")
    key = "callbacks.largest_stable_rate"
    assert_says(refused, f"{key}._target_=LargestStableRate: ", "optimizer=adam has no", f"; ~{key} leaves it out")
    assert "Launching" not in refused.out and not list(tmp_path.glob("outputs/*/*"))


def test_a_name_that_is_no_folder(small):
    assert_says(small("name=a/b"), "name=a/b: expected a folder's name")


def test_null_reads_as_the_command_line_gives_it(small):
    assert_says(small("mode=test"), "ckpt_path=null: expected")


def test_a_preset_that_is_no_yaml(train, tmp_path):
    (tmp_path / "experiment").mkdir()
    preset = tmp_path / "experiment" / "mine.yaml"
    preset.write_text("# @package _global_\nmodel:\n  width: 8\n depth: 3\n")
    assert_says(train(f"hydra.searchpath=[file://{tmp_path}]", "experiment=mine"), f"{preset}, line 4: ")


def test_meanfield_names_the_option_that_it_refuses():
    with pytest.raises(SystemExit, match=r"^error: --activation=tanhh: expected one of"):
        meanfield(["--activation", "tanhh", "--critical", "0.02"])


def test_damaged_files_are_named(small):
    run = small().run_directory
    summary, kernels = run / "summary.json", run / "ntk.safetensors"
    whole = summary.read_bytes()
    summary.write_text('{"status": "finished"}')
    assert_says(small(), f"hydra.run.dir={run}: expected a finished run; its summary.json lacks ")
    summary.write_bytes(b"\xff\xfe\x00")  # says nothing, so the run goes on from its last checkpoint
    assert small().code == 0 and summary.read_bytes() != b"\xff\xfe\x00"
    assert whole.count(b"\n") == summary.read_bytes().count(b"\n")
    summary.unlink()
    kernels.write_bytes(kernels.read_bytes()[:100])
    assert_says(small(), f"{kernels}: expected a whole safetensors file; ")


def test_an_ensembles_summary_that_lacks_something_is_named(small):
    run = small("ensemble.seeds=2").run_directory
    (run / "summary.json").write_text('{"status": "finished"}')
    assert_says(small("ensemble.seeds=2"), f"hydra.run.dir={run}: expected a finished run; its summary.json lacks ")


@pytest.mark.parametrize(
    ("says", "refusal"),
    [
        ("error: Batch job submission failed: Unable to contact slurm controller", "hydra/launcher=slurm: expected a"),
        ("fatal: Could not establish a configuration source", "hydra/launcher=slurm: expected another launcher"),
        ("error: invalid partition specified: nowhere", "hydra.launcher=…: expected what SLURM accepts"),
    ],
)
def test_slurm_that_cannot_be_reached_is_not_the_settings_fault(small, tmp_path, monkeypatch, says, refusal):
    """With stand-ins for `sbatch`, which says what SLURM's does, and `srun`, which submitit looks for."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for command in ("sbatch", "srun"):
        (folder / command).write_text(f"#!/bin/sh\necho '{command}: {says}' >&2\nexit 1\n")
        (folder / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    folder = f"hydra.launcher.submitit_folder={tmp_path}/submitit"
    assert_says(small("-m", "hydra/launcher=slurm", folder, "seed=1,2"), refusal, says)
