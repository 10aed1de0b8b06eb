"""`python -m orthontk.meanfield`: what it refuses, and where it writes."""

import numpy as np
import pytest
import torch

from orthontk.meanfield import __main__ as command
from orthontk.meanfield import phase_diagram


@pytest.fixture
def quick(monkeypatch):
    """A diagram of few points."""
    few = phase_diagram("tanh", np.array([0.9, 1.5, 3.0]), np.array([0.0, 0.1]))
    monkeypatch.setattr(command, "phase_diagram", lambda *grid, progress: few)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--inputs", "0"], "--inputs=0: expected an integer of at least 1"),
        (["--inputs", "-3"], "--inputs=-3: expected an integer of at least 1"),
        (["--features", "0"], "--features=0: expected an integer of at least 1"),
        (["--critical", "0.01", "--weight-var", "3"], "--critical=0.01: expected without --weight-var and --bias-var"),
        (["--critical", "0.01", "--bias-var", "0"], "--critical=0.01: expected without --weight-var and --bias-var"),
        (["--critical", "-1"], "--critical=-1.0: expected a finite number above 0"),
        (["--weight-var", "-2"], "--weight-var=-2.0: expected a finite number above 0"),
        (["--bias-var", "-1"], "--bias-var=-1.0: expected a finite number of at least 0"),
        (["--depths", "2", "0"], "--depths=0: expected an integer of at least 1"),
        (["--seed", str(2**63)], f"--seed={2**63}: expected an integer below 2^63"),
        (["--seed", "-1"], "--seed=-1: expected an integer of at least 0"),
        (["--activation", "tanhh"], "--activation=tanhh: expected one of "),
        (["--phase-diagram", "nofolder/x.png"], "--phase-diagram=nofolder/x.png: expected a file in a folder that"),
        (["--phase-diagram", "x.png", "--critical", "1"], "--phase-diagram=x.png: expected without --critical, as it"),
        (["--phase-diagram", "x.png", "--weight-var", "2"], "--phase-diagram=x.png: expected without --weight-var"),
        (["--phase-diagram", "x.png", "--depths", "2"], "--phase-diagram=x.png: expected without --depths"),
        (["--phase-diagram", "x.csv"], "--phase-diagram=x.csv: expected an image that Matplotlib writes: "),
        (["--phase-diagram", "foo.xyz"], "--phase-diagram=foo.xyz: expected an image that Matplotlib writes: "),
    ],
)
def test_refused_before_anything_is_computed(arguments, refusal, monkeypatch, capsys):
    monkeypatch.setattr(command, "phase_diagram", None)
    monkeypatch.setattr(command, "infinite_kernels", None)
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert str(end.value).startswith(f"error: {refusal}") and capsys.readouterr().out == ""


def test_where_every_length_is_a_fixed_point_the_rest_is_said_all_the_same(capsys):
    command.main(["--activation", "relu", "--critical", "1", "--depths", "2", "--inputs", "4", "--features", "8"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "q*: every length is a fixed point, chi_1 1, correlation length inf layers"
    assert any(line.startswith("│ 2 ") for line in lines)


def test_without_a_fixed_point_the_kernels_are_printed_all_the_same(capsys):
    command.main(["--activation", "relu", "--weight-var", "3", "--depths", "2", "--inputs", "4", "--features", "8"])
    out = capsys.readouterr().out
    assert "no fixed point: weight_var=3.0" in out and "│ 2 " in out


@pytest.mark.parametrize("name", ["diagram", "diagram.pdf"])
def test_the_files_that_are_named_are_those_written(quick, tmp_path, name, capsys):
    command.main(["--phase-diagram", str(tmp_path / name)])
    written = [tmp_path / (name if "." in name else f"{name}.png"), tmp_path / "diagram.csv"]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_the_spectrum_of_a_singular_kernel_has_no_condition_number():
    values = command._spectrum(torch.ones(3, 3, dtype=torch.float64))
    assert values[-2:] == ["inf", "1.0"]


def test_a_length_that_the_kernels_do_not_allow_is_refused_as_that_of_the_critical_point():
    with pytest.raises(
        SystemExit, match=r"^error: --critical=1e\+17: expected another length, or an activation as one"
    ):
        command.main(["--critical", "1e17", "--depths", "2", "--inputs", "4"])
