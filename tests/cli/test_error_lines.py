"""What is wrong with a command is said in one line, which begins with the key as it was typed."""

import sys

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from orthontk import cli
from orthontk.errors import describe

ROOT_FLAGS = {
    "--config-name=foo": "--config-name=foo: expected one of config",
    "--config-path=/nonexistent": "--config-path=/nonexistent: expected a folder of configurations",
}
MULTIRUN = {
    "hydra.sweeper.grids=foo": "hydra.sweeper.grids=foo: expected null, or for each scale a list of grids",
    "hydra.sweeper.max_batch_size=0": "hydra.sweeper.max_batch_size=0: expected an integer of at least 1",
    "hydra.sweeper.max_batch_size=abc": "hydra.sweeper.max_batch_size=abc: expected an integer of at least 1",
    "seed=interval(0,1)": "seed=interval(0,1): expected values or a range, as an interval has no next value",
}
SLURM = {
    "poll_seconds=abc": "a finite number above 0",
    "nodes=0": "an integer of at least 1",
    "timeout_min=abc": "an integer of at least 1",
    "signal_delay_s=abc": "an integer of at least 0",
    "cpus_per_task=abc": "an integer of at least 1",
    "mem_gb=abc": "a finite number above 0",
}
SINGLE = {
    "resume=null": "resume=null: expected auto, never, or the path of a checkpoint or a run directory",
    "hydra.run.dir=/proc/foo": "/proc/foo: No such file or directory; expected paths.output_dir or hydra.run.dir to",
    "+model.foo=1": "model.foo: no such key, as FCN does not take it",
    "+optimizer.foo=1": "optimizer.foo: no such key, as SGD does not take it",
    "optimizer.momentum=0.9": (
        "optimizer.momentum: no such key in optimizer; expected one of lr, lr_fraction; +optimizer.momentum adds it, "
        "if torch.optim.SGD takes it; optimizer=momentum has it"
    ),
    "optimizer=adam optimizer.lr_fraction=0.5": (
        "optimizer.lr_fraction: no such key in optimizer; expected one of lr, betas, eps; optimizer=momentum or sgd has"
    ),
    "optimizer.lr_fraction=0.5 +optimizer.weight_decay=0.1": (
        "optimizer.lr_fraction=0.5: expected null with optimizer.weight_decay=0.1, as a largest stable learning rate "
        "is known for sgd and momentum without weight decay"
    ),
    "optimizer=adam optimizer._target_=torch.optim.SGD optimizer.lr=0.1": (
        "optimizer.betas: no such key, as SGD does not take it; optimizer=adam has it: ~optimizer.betas leaves it out, "
        "~optimizer +optimizer._partial_=true +optimizer._target_=torch.optim.SGD +optimizer.lr=0.1 all that it has"
    ),
    "+schedule.foo=1": "schedule._target_=null: expected a class, as schedule=NAME brings with it",
    "+loss.reduction=foo loss._target_=torch.nn.CrossEntropyLoss": "loss.reduction=foo: expected one of mean, sum",
    "+loss.label_smoothing=2 loss._target_=torch.nn.CrossEntropyLoss": "loss.label_smoothing=2: expected a finite",
}


def assert_says(result, message):
    assert result.code == 1 and result.err.count("\n") == 1
    assert result.err.startswith(f"error: {message}"), result.err


@pytest.mark.parametrize("arguments", SINGLE)
def test_of_a_single_run(small, arguments):
    assert_says(small(*arguments.split()), SINGLE[arguments])


def test_of_a_key_that_other_choices_of_its_group_have(train):
    result = train("data=mnist_5k", "data.shape=[784]")
    assert_says(result, "data.shape: no such key in data; expected one of source, ")
    assert result.err.endswith("; data=gaussian has it\n")
    assert "has it" not in train("data=mnist_5k", "data.foo=1").err


def test_of_files_for_a_set_that_is_not_read_from_them(train):
    assert_says(
        train("data=mnist_5k", "data.path=/data"), "data.path=/data: expected null, as mnist_5k is not read from"
    )


def test_of_a_group_that_is_null():
    with pytest.raises(OmegaConfBaseException) as raised:
        OmegaConf.create({"paths": None, "run": "${paths.output_dir}"}).run  # noqa: B018
    assert describe(raised.value) == "paths: expected settings, as paths.output_dir is one of them"


@pytest.mark.parametrize("flag", ROOT_FLAGS)
def test_of_where_the_configuration_is(train, flag):
    assert_says(train(flag), ROOT_FLAGS[flag])


@pytest.mark.parametrize("override", MULTIRUN)
def test_of_a_sweep(small, override):
    assert_says(small("-m", override), MULTIRUN[override])


@pytest.mark.parametrize("setting", SLURM)
def test_of_a_slurm_array(small, setting):
    result = small("-m", "hydra/launcher=slurm", "hydra.launcher.dry_run=true", f"hydra.launcher.{setting}", "seed=0,1")
    assert_says(result, f"hydra.launcher.{setting}: expected {SLURM[setting]}")


@pytest.mark.parametrize(
    ("arguments", "flag", "better"),
    [
        ("model=fcn -m seed=0,1", "-m", "-m model=fcn seed=0,1"),
        ("model=fcn --config-dir /tmp name=zz", "--config-dir", "--config-dir /tmp model=fcn name=zz"),
        ("-cd /tmp model=fcn -m seed=0,1", "-m", "-cd /tmp -m model=fcn seed=0,1"),
    ],
)
def test_of_a_flag_between_settings(monkeypatch, capsys, arguments, flag, better):
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments.split()])
    with pytest.raises(SystemExit) as end:
        cli.command(cli.flags_first(lambda: None))()
    assert end.value.code == 1
    assert capsys.readouterr().err == f"error: {flag}: expected before all KEY=VALUE, so as: {better}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "--cfg job",
        "model=fcn seed=0,1 -m",
        "-m seed=0,1",
        "--config-dir mine -m seed=0,1",
        "a=b -cd mine -m",
        "DIR a=b -n c=d",
    ],
)
def test_flags_anywhere_else_are_none_of_this(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments.split()])
    assert cli.command(cli.flags_first(lambda: "ran"))() == "ran"


def test_nobody_who_reads_any_more_is_no_error(monkeypatch, capfd):
    """As `head` has what it wants: whether the pipe breaks while the command prints, or with its last words."""

    def breaks():
        raise BrokenPipeError(32, "Broken pipe")

    for main, flush in ((breaks, sys.stdout.flush), (lambda: None, breaks)):
        monkeypatch.setattr(sys, "argv", ["status"])
        with monkeypatch.context() as patch:
            patch.setattr(sys.stdout, "flush", flush)
            with pytest.raises(SystemExit) as end:
                cli.command(main)()
        assert end.value.code == 141
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("settings", ["defaults: [override /model: fcn]\nname: mine", "name: mine"])
def test_of_a_preset_that_does_not_say_where_its_keys_belong(small, tmp_path, settings):
    """With choices of its own Hydra refuses it, otherwise nothing would look at it."""
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text(settings)
    line = 'experiment=mine: expected a preset whose file has "# @package _global_" as its first line'
    assert_says(small(f"--config-dir={tmp_path}", "experiment=mine"), line)
