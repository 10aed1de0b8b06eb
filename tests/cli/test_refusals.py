"""Every bad value is refused in one line that names its key; its valid neighbour runs."""

import pytest
import torch

SMALL_IMAGES = "data=gaussian data.shape=[3,8,8]"
ONE_CYCLE = (
    "schedule=step ~schedule.step_size ~schedule.gamma"
    " schedule._target_=torch.optim.lr_scheduler.OneCycleLR +schedule.max_lr=${optimizer.lr}"
)

# (refused, its key as the message names it, a valid neighbour)
PAIRS = [
    ("model.width=0", "model.width=0", "model.width=1"),
    ("model.width=-3", "model.width=-3", "model.width=3"),
    ("model.width=1.5", "model.width=1.5", "model.width=2"),
    ("model.depth=0", "model.depth=0", "model.depth=1"),
    ("model=resnet", "model=resnet", f"model=cnn {SMALL_IMAGES}"),
    ("model.widht=3", "model.widht", "model.width=3"),
    ("modell=cnn", "modell", f"model=cnn {SMALL_IMAGES} init=orthogonal"),
    ("model=cnn model.kernel_size=4", "model.kernel_size=4", f"model=cnn {SMALL_IMAGES} model.kernel_size=5"),
    (
        f"model=cnn {SMALL_IMAGES} model.kernel_size=9",
        "model.kernel_size=9",
        f"model=cnn {SMALL_IMAGES} model.kernel_size=9 model.padding=zeros",
    ),
    ("model=cnn model.readout=max", "model.readout=max", f"model=cnn {SMALL_IMAGES} model.readout=pool"),
    ("model.activation=Softmax", "model.activation=Softmax", "model.activation=SiLU"),
    ("model.weight_var=0", "model.weight_var=0", "model.weight_var=0.1"),
    ("model.bias_var=nan", "model.bias_var=nan", "model.bias_var=0"),
    ("model.critical=0", "model.critical=0", "model.critical=0.0259"),
    ("model.critical=high", "model.critical=high", "model.critical=0.5 model.activation=erf"),
    ("model.critical=0.5 model.activation=SiLU", "model.critical=0.5", "model.critical=1 model.activation=relu"),
    ("model.critical=0.1 model.weight_var=2", "model.weight_var=2", "model.critical=null model.weight_var=2"),
    ("model.parameterization=mup", "model.parameterization=mup", "model.parameterization=standard"),
    ("+model.slope=1", "model", "model.activation=LeakyReLU"),
    ("init=foo", "init=foo", "init=orthogonal"),
    ("init.scheme=foo", "init.scheme=foo", "init.scheme=flat_orthogonal"),
    ("init=delta_orthogonal", "init.scheme=delta_orthogonal", f"model=cnn {SMALL_IMAGES} init=delta_orthogonal"),
    (
        f"model=cnn {SMALL_IMAGES} init=delta_orthogonal model.width=2",
        "init.scheme=delta_orthogonal",
        f"model=cnn {SMALL_IMAGES} init=delta_orthogonal model.width=3",
    ),
    ("init.coupled=perhaps", "init.coupled=perhaps", "init=orthogonal init.coupled=true"),
    ("data.train_size=100000", "data.train_size=100000", "data.train_size=3980"),
    ("data.batch_size=61", "data.batch_size=61", "data.batch_size=60"),
    ("data.batch_size=all", "data.batch_size=all", "data.batch_size=full"),
    ("data.normalize=whiten", "data.normalize=whiten", "data.normalize=qstar"),
    (
        "data.normalize=qstar ~model.activation",
        "data.normalize=qstar: expected a network with model.activation, model.weight_var and model.bias_var",
        "data.normalize=unit_norm ~model.activation",
    ),
    ("data=gaussian model=cnn data.shape=[8]", "model", "data=gaussian model=cnn data.shape=[1,8,8]"),
    ("optimizer.lr=0", "optimizer.lr=0", "optimizer.lr=1e-12"),
    ("optimizer.lr=inf", "optimizer.lr=inf", "optimizer.lr=100"),
    ("optimizer.lr=nan", "optimizer.lr=nan", "optimizer.lr=1"),
    ("optimizer.lr_fraction=0", "optimizer.lr_fraction=0", "optimizer.lr_fraction=0.5"),
    ("optimizer.lr_fraction=0.5 optimizer.lr=1", "optimizer.lr=1", "optimizer.lr_fraction=null optimizer.lr=1"),
    (
        "optimizer=adam +optimizer.lr_fraction=0.5",
        "optimizer.lr_fraction=0.5",
        "optimizer=momentum optimizer.lr_fraction=0.5",
    ),
    ("optimizer=rmsprop optimizer.lr_fraction=0.5", "optimizer.lr_fraction", "optimizer=rmsprop"),
    (
        "optimizer=momentum optimizer.lr_fraction=1 +optimizer.nesterov=true",
        "optimizer.lr_fraction=1",
        "optimizer=momentum +optimizer.nesterov=true",
    ),
    (
        "optimizer.lr_fraction=1 loss._target_=torch.nn.MultiMarginLoss",
        "optimizer.lr_fraction=1",
        "loss._target_=torch.nn.MultiMarginLoss",
    ),
    ("optimizer=momentum optimizer.momentum=-1", "optimizer", "optimizer=momentum optimizer.momentum=0"),
    ("optimizer=adam optimizer.betas=[2,0.9]", "optimizer.betas[0]=2", "optimizer=adam optimizer.betas=[0.5,0.9]"),
    ("schedule=step schedule.gamma=fast", "schedule.gamma=fast", "schedule=step schedule.gamma=0.1"),
    (f"{ONE_CYCLE} +schedule.total_steps=5", "schedule: Tried to step", f"{ONE_CYCLE} +schedule.total_steps=6"),
    ("schedule=step schedule.step_size=0", "schedule", "schedule=step schedule.step_size=1"),
    ("callbacks.ntk.probe_size=61", "callbacks.ntk.probe_size=61", "callbacks.ntk.probe_size=60"),
    ("callbacks.ntk.outputs=sum", "callbacks.ntk.outputs=sum", "callbacks.ntk.outputs=sum_of_logits"),
    ("callbacks.ntk.steps=often", "callbacks.ntk.steps=often", "callbacks.ntk.steps=[0,3]"),
    ("callbacks.weights=null", "callbacks.weights=null", "~callbacks.weights"),
    (
        "callbacks=[ntk,jacobian_spectrum] callbacks.jacobian_spectrum.inputs=61",
        "callbacks.jacobian_spectrum.inputs=61",
        "callbacks=[ntk,jacobian_spectrum] callbacks.jacobian_spectrum.inputs=60",
    ),
    ("callbacks.ntk.infinite=maybe", "callbacks.ntk.infinite=maybe", "callbacks.ntk.infinite=true"),
    (
        "callbacks=[ntk,kernel_regression] callbacks.kernel_regression.kernels=[ntk]",
        "callbacks.kernel_regression.kernels=ntk",
        "callbacks=[ntk,kernel_regression] callbacks.kernel_regression.kernels=[nngp]",
    ),
    *(
        (
            f"callbacks=[ntk,prediction] data.batch_size=full callbacks.prediction.test_size=10 {bad}",
            f"callbacks.prediction.{key}",
            f"callbacks=[ntk,prediction] data.batch_size=full callbacks.prediction.test_size=10 {good}",
        )
        for bad, key, good in [
            ("data.batch_size=10", "kernel=full: expected data.batch_size=full", "loss=mse"),
            ("optimizer=adam", "kernel=full: expected an optimizer", "optimizer=momentum"),
            ("schedule=cosine", "kernel=full: expected schedule=constant", "schedule=constant"),
            ("+trainer.gradient_clip_val=1", "kernel=full: expected trainer.gradient_clip_val", "trainer.max_steps=1"),
            ("callbacks.prediction.kernel=ntk", "kernel=ntk", "callbacks.prediction.kernel=trace"),
            ("callbacks.prediction.steps=[]", "steps=[]: expected at least one", "callbacks.prediction.steps=[5]"),
            ("callbacks.prediction.test_size=21", "test_size=21", "callbacks.prediction.test_size=20"),
        ]
    ),
    ("data.val_size=0 callbacks.ntk.split=val", "callbacks.ntk.split=val", "data.val_size=0 callbacks.ntk.split=test"),
    ("trainer.max_steps=-1", "trainer.max_steps=-1", "trainer.max_steps=0"),
    ("trainer.max_steps=null", "trainer.max_steps", "trainer.max_steps=null trainer.max_epochs=1"),
    ("trainer.precision=8", "trainer.precision=8", "trainer.precision=64-true"),
    ("trainer.val_check_interval=0", "trainer.val_check_interval=0", "trainer.val_check_interval=100"),
    ("trainer.accelerator=abacus", "trainer", "trainer.accelerator=auto"),
    ("+trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches=2", "+trainer.gradient_clip_val=1.0"),
    ("+trainer.limit_val_batches=0", "trainer.limit_val_batches=0", "data.train_size=20"),
    ("+trainer.max_time='00:00:01:00'", "trainer.max_time=00:00:01:00", "+trainer.max_time=null"),
    ("+trainer.fast_dev_run=1", "trainer.fast_dev_run=1", "+trainer.detect_anomaly=true"),
    ("trainer.enable_progress_bar=no", "trainer.enable_progress_bar=no", "trainer.enable_progress_bar=true"),
    ("figures=no", "figures=no", "figures=false"),
    (
        "optimizer._target_=torch.optim.Nope",
        "optimizer._target_=torch.optim.Nope",
        "optimizer._target_=torch.optim.SGD",
    ),
    (
        "optimizer._target_=torch.optim.Nope optimizer.lr_fraction=0.5",
        "optimizer._target_=torch.optim.Nope: expected the dotted name",
        "optimizer._target_=torch.optim.SGD optimizer.lr_fraction=0.5",
    ),
    ("mode=train", "mode=train", "mode=fit"),
    ("seed=-1", "seed=-1", "seed=1"),
    ("seed=99999999999999999999", "seed=99999999999999999999", "seed=9223372036854775807"),
    ("name=a/../../b", "name=a/../../b", "name=a-b"),
    ("logger=[csv,printer]", "logger=printer", "logger=[csv]"),
    ("model=null", "model=null", "model=fcn"),
    ("model.width=100000000", "model", "model.width=10"),
    ("trainer.devices=0", "trainer.devices=0", "trainer.devices=1"),
    ("trainer.accelerator=gpu", "trainer.accelerator=gpu", "trainer.accelerator=cpu"),
    (
        "loss._target_=torch.nn.CrossEntropyLoss +loss.reduction=none",
        "loss.reduction=none",
        "loss._target_=torch.nn.CrossEntropyLoss +loss.reduction=sum",
    ),
    (
        "model.out_features=1 data.keep_classes=[0,1] trainer.max_steps=0",
        "loss=CrossEntropyLoss: expected mse",
        "model.out_features=1 data.keep_classes=[0,1] loss=mse",
    ),
    (
        "data=gaussian data.classes=1 data.shape=[8] callbacks.ntk.probe_size=10",
        "loss=CrossEntropyLoss: expected mse",
        "data=gaussian data.classes=1 data.shape=[8] trainer.max_steps=0",
    ),
    (
        "data=gaussian data.classes=1 data.shape=[8] ensemble.seeds=2 loss._target_=torch.nn.NLLLoss",
        "loss=NLLLoss: expected mse",
        "data=gaussian data.classes=1 data.shape=[8] ensemble.seeds=2 loss=mse",
    ),
    ("trainer.tf32=high", "trainer.tf32=high", "trainer.tf32=true"),
    ("callbacks.ntk.memory_limit=1", "callbacks.ntk.memory_limit=1", "callbacks.ntk.memory_limit=100000000"),
    ("init.scheme={_target_:nowhere.scheme}", "init", "init.scheme={_target_:torch.nn.Identity}"),
    ("seed=1,2", "'seed=1,2'", "seed=2"),
    ("resume=maybe", "resume=maybe", "resume=never"),
    ("checkpoint.every_n_steps=0", "checkpoint.every_n_steps=0", "checkpoint.every_n_steps=1"),
    ("checkpoint=null", "checkpoint=null", "checkpoint.every_n_steps=1"),
    ("checkpoint.keep=some", "checkpoint.keep=some", "checkpoint.keep=all"),
    ("logger=printer", "logger=printer", "logger=[csv,tensorboard]"),
    ("model.width=[1", "model.width=[1", "model.width=4"),
]


@pytest.fixture(params=PAIRS, ids=lambda pair: pair[0])
def pair(request):
    return request.param


def assert_one_line(result, key):
    assert result.code == 1
    assert result.out == ""
    assert result.err.startswith("error: ") and result.err.count("\n") == 1
    assert key in result.err


def test_refused_and_neighbour(small, pair):
    refused, key, neighbour = pair
    assert_one_line(small(*refused.split()), key)
    result = small(*neighbour.split())
    assert result.code == 0, result.err


def test_unwritable_directory(small, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert_one_line(small(f"hydra.run.dir={tmp_path}/file/run"), f"{tmp_path}/file")
    assert small(f"hydra.run.dir={tmp_path}/folder/run").code == 0


def test_local_parquet(small, image_folder):
    settings = "data=mnist", "data.val_size=10", "data.train_size=20", "data.test_size=10"
    assert_one_line(small(*settings, f"data.path={image_folder}/nowhere"), "data.path=")
    assert small(*settings, f"data.path={image_folder}").code == 0
    truncated = image_folder / "train.parquet"
    truncated.write_bytes(truncated.read_bytes()[:-100])
    assert_one_line(small(*settings, f"data.path={image_folder}", "seed=1"), "data.path=")


def test_checkpoints(small, tmp_path):
    run = small("checkpoint.keep=all").run_directory
    good = run / "checkpoints" / "step-00000004.ckpt"
    assert small("mode=test", f"ckpt_path={good}").code == 0
    assert_one_line(small("mode=test"), "ckpt_path")
    assert_one_line(small("mode=test", f"ckpt_path={tmp_path}/nowhere.ckpt"), "ckpt_path=")
    assert_one_line(small("mode=test", "model.width=9", f"ckpt_path={good}"), "model=")
    assert_one_line(small("model.width=9", f"resume={good}"), "resume=")
    corrupt, foreign = tmp_path / "corrupt.ckpt", tmp_path / "foreign.ckpt"
    corrupt.write_bytes(good.read_bytes()[:5000])
    torch.save({"weights": torch.ones(3)}, foreign)
    for bad in (corrupt, foreign):
        assert_one_line(small("mode=test", f"ckpt_path={bad}"), f"ckpt_path={bad}")
        assert_one_line(small("seed=9", f"resume={bad}"), f"resume={bad}")


def test_corrupt_last_checkpoint_loses_nothing(small):
    """A run whose last checkpoint is damaged is refused, and what it had computed stays."""
    directory = small().run_directory
    (directory / "summary.json").unlink()  # as if killed before its end
    (checkpoint,) = (directory / "checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    before = (directory / "metrics.csv").read_bytes()
    assert_one_line(small(), "resume=")
    assert (directory / "metrics.csv").read_bytes() == before
    assert small("resume=never").code == 0


def test_debug_shows_the_traceback(small, monkeypatch):
    assert "Traceback" not in small("model.width=0").err
    monkeypatch.setenv("ORTHONTK_DEBUG", "1")
    assert "Traceback" in small("model.width=0").err
