"""Training and testing through the command: data, precision, losses, divergence, figures."""

import math
import shutil

import pytest
import torch
from PIL import Image

from orthontk.files import read_json
from orthontk.loggers import read_metrics


def metrics(result):
    return read_json(result.run_directory / "summary.json")["metrics"]


def test_run_directory_holds_what_a_researcher_uses(small):
    run = small("logger=wandb", "figures=true").run_directory
    present = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.csv", "summary.json", "ntk.safetensors", "provenance.json"} <= present
    assert {"figures", "checkpoints", "wandb"} <= present
    assert not list(run.rglob("*.partial*"))
    provenance = read_json(run / "provenance.json")
    assert provenance["packages"]["torch"] == torch.__version__
    figures = {path.name for path in (run / "figures").iterdir()}
    assert figures == {"learning_curves.png", "ntk_change.png", "ntk_heatmap.png", "ntk_spectrum.png"}
    for path in (run / "figures").iterdir():
        image = Image.open(path).convert("L")
        assert min(image.size) > 300 and len(set(image.getdata())) > 20  # more than an empty frame


def test_a_run_that_ends_before_its_figures_are_drawn_is_not_finished(small, monkeypatch):
    """The same command draws them, and measures nothing twice."""

    def interrupted(directory):
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr("orthontk.run.execute.draw_figures", interrupted)
        assert small("figures=true").code == 1
    again = small("figures=true")
    assert again.code == 0 and not again.out.startswith("finished already")
    assert len(list((again.run_directory / "figures").iterdir())) == 4
    assert [row["step"] for row in read_metrics(again.run_directory / "metrics.csv")] == [0, 1, 2, 3, 4, 5, 6]


def test_every_step_once_and_in_order(small):
    steps = [row["step"] for row in read_metrics(small().run_directory / "metrics.csv")]
    assert steps == [0, 1, 2, 3, 4, 5, 6]


def test_mode_test_repeats_the_final_test(small):
    trained = small()
    (checkpoint,) = (trained.run_directory / "checkpoints").iterdir()
    tested = small("mode=test", f"ckpt_path={checkpoint}")
    for name in ("test/loss", "test/accuracy"):
        assert metrics(tested)[name] == metrics(trained)[name]


@pytest.mark.slow
def test_mode_test_evaluates_a_checkpoint_that_has_changed(small, tmp_path, monkeypatch):
    """It is known by its content: a finished evaluation of another one at the same path is no result of it."""
    first, second = (next((small(seed).run_directory / "checkpoints").iterdir()) for seed in ("seed=0", "seed=1"))
    monkeypatch.chdir(tmp_path)
    evaluation = ("mode=test", "ckpt_path=here.ckpt", "seed=0")
    shutil.copy(first, "here.ckpt")
    tested = small(*evaluation)
    assert small(*evaluation, f"ckpt_path={first}").out.startswith("finished already")
    by_hand = small(*evaluation, f"hydra.run.dir={tmp_path}/run")
    shutil.copy(second, "here.ckpt")
    again = small(*evaluation)
    assert metrics(again)["test/loss"] != metrics(tested)["test/loss"]
    refused = small(*evaluation, f"hydra.run.dir={tmp_path}/run")
    assert by_hand.code == 0 and refused.code == 1 and refused.err.startswith("error: ckpt_path=sha256:")


def test_mode_test_evaluates_the_newest_whole_checkpoint_of_a_run(small, tmp_path):
    """The same evaluation as of its file; one that is damaged is passed over."""
    run = small("checkpoint.keep=all").run_directory
    *_, before, newest = sorted((run / "checkpoints").iterdir())
    tested = small("mode=test", f"ckpt_path={run}")
    assert metrics(tested)["test/loss"] == metrics(small("resume=never", "checkpoint.keep=all"))["test/loss"]
    assert small("mode=test", f"ckpt_path={newest}").out.startswith(f"finished already: {tested.run_directory} ")
    newest.write_bytes(newest.read_bytes()[:1000])
    again = small("mode=test", f"ckpt_path={run}")
    assert f"warning: {newest} cannot be read; evaluating the one before it that can, {before}" in again.out
    assert again.out.count("warning: ") == 1 and again.run_directory != tested.run_directory
    (tmp_path / "empty").mkdir()
    refused = small("mode=test", f"ckpt_path={tmp_path}/empty")
    accepted = "the path of a checkpoint, or of a single run's directory with a readable one"
    assert refused.code == 1 and refused.err == f"error: ckpt_path={tmp_path}/empty: expected {accepted}\n"


def test_mode_test_evaluates_the_network_that_was_trained(small):
    """With the same shapes and another function, or other inputs, the numbers would be of no network that there is."""
    (checkpoint,) = (small().run_directory / "checkpoints").iterdir()
    for key, value, was in (
        ("model.activation", "relu", "tanh"),
        ("model.weight_var", "2", "1.05"),
        ("model.parameterization", "standard", "ntk"),
        ("data.normalize", "standardize", "none"),
    ):
        refused = small("mode=test", f"ckpt_path={checkpoint}", f"{key}={value}")
        assert refused.code == 1
        accepted = f"a checkpoint of a run with the same {key}, which was {was}"
        assert refused.err == f"error: ckpt_path={checkpoint}: expected {accepted}\n"


def test_a_checkpoint_without_settings_is_evaluated_with_the_commands(small, tmp_path):
    (checkpoint,) = (small().run_directory / "checkpoints").iterdir()
    content = torch.load(checkpoint, weights_only=True)
    del content["config"]
    torch.save(content, tmp_path / "bare.ckpt")
    assert small("mode=test", f"ckpt_path={tmp_path}/bare.ckpt", "model.activation=relu").code == 0


def test_images_of_another_training_set_are_standardized_by_others(small):
    standardized = "data.normalize=standardize"
    (checkpoint,) = (small(standardized).run_directory / "checkpoints").iterdir()
    refused = small(standardized, "mode=test", f"ckpt_path={checkpoint}", "data.seed=1")
    assert refused.code == 1 and refused.err.endswith("with the same data.seed, which was 0\n")


def test_mode_test_leaves_an_unfinished_training_alone(small, tmp_path):
    """In its directory, given by hand, it is refused before anything is written."""
    here = f"hydra.run.dir={tmp_path}/run"
    directory = small(here).run_directory
    (directory / "summary.json").unlink()  # as if killed before its end
    (checkpoint,) = (directory / "checkpoints").iterdir()
    before = {path.name: path.read_bytes() for path in directory.glob("*.*")}
    refused = small("mode=test", f"ckpt_path={checkpoint}", here)
    assert refused.code == 1
    assert refused.err.startswith(f"error: mode=test: expected fit, as in the unfinished run {directory} ")
    assert refused.err.count("\n") == 1
    after = {path.name: path.read_bytes() for path in directory.glob("*.*") if not path.match("failure*")}
    assert before == after
    assert small(here).code == 0


def test_same_seed_same_run_and_another_seed_another(small):
    def losses(*arguments):
        rows = read_metrics(small(*arguments).run_directory / "metrics.csv")
        return [row["train/loss"] for row in rows if "train/loss" in row]

    assert losses() == losses("resume=never")
    assert losses("seed=1") != losses()
    assert losses("data.seed=1") != losses()


def test_seed_draws_parameters_and_data_seed_the_data(small):
    """With the same seed and other data, the initial weights are the same; with the same data.seed, the probe is."""
    from orthontk.kernels.kernel_series import KernelSeries

    def probe(*arguments):
        return KernelSeries.read(small(*arguments).run_directory / "ntk.safetensors").probe["indices"]

    assert torch.equal(probe("seed=1"), probe("seed=2"))
    assert not torch.equal(probe("data.seed=1"), probe("data.seed=2"))


def test_precision_64_draws_the_same_network(small):
    single, double = (
        read_metrics(small(f"trainer.precision={p}").run_directory / "metrics.csv") for p in ("32-true", "64-true")
    )
    assert single[0]["train/loss"] == pytest.approx(double[0]["train/loss"], rel=1e-6)
    assert single[0]["train/loss"] != double[0]["train/loss"]


def test_validation_and_test_weigh_every_image_equally(small):
    """Unequal last batches must not count more: evaluate in one chunk and in several."""
    whole = metrics(small("data.eval_batch_size=1000"))
    chunks = metrics(small("data.eval_batch_size=7", "resume=never"))
    for name in ("val/loss", "test/loss", "test/accuracy"):
        assert chunks[name] == pytest.approx(whole[name], rel=1e-6)


def test_mse_of_zero_outputs_is_one(small):
    """With one-hot labels and outputs near zero the sum over outputs is 1, in the mean over samples."""
    run = small("loss=mse", "model.weight_var=1e-12", "model.bias_var=0", "trainer.max_steps=1").run_directory
    assert read_metrics(run / "metrics.csv")[0]["train/loss"] == pytest.approx(1.0, abs=1e-5)


def test_epochs_end_a_run(small):
    result = small("trainer.max_steps=null", "trainer.max_epochs=2", "callbacks.ntk.steps=log")
    assert read_json(result.run_directory / "summary.json")["steps"] == 2 * 60 // 10


def test_learning_rate_schedule_is_stepped_after_every_update(small):
    """With a factor of 0 after the first step, the weights stay where the first update left them."""
    frozen = small("schedule=step", "schedule.step_size=1", "schedule.gamma=0.0", "callbacks.weights.steps=1")
    rows = read_metrics(frozen.run_directory / "metrics.csv")
    changes = [row["weights/change/layer2"] for row in rows if "weights/change/layer2" in row]
    assert changes[1] > 0 and set(changes[1:]) == {changes[1]}
    assert all(math.isfinite(change) for change in changes)


@pytest.mark.parametrize("length", [("trainer.max_epochs=2",), ("trainer.max_steps=null", "trainer.max_epochs=2")])
def test_a_cosine_ends_where_the_training_does(small, length):
    """After 2 epochs of 2 updates, which are fewer than `max_steps`."""
    settings = ("schedule=cosine", "data.batch_size=30", "callbacks.ntk.steps=[]", "checkpoint.keep=last")
    run = small(*settings, *length)
    assert run.code == 0, run.err
    (path,) = (run.run_directory / "checkpoints").iterdir()
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint["lr_schedulers"][0]["_last_lr"] == pytest.approx([0.0], abs=1e-12)
    assert checkpoint["config"]["schedule"]["T_max"] == 4
    assert small(*settings, *length, "schedule.T_max=9", f"resume={path}").code == 1  # which is kept
    longer = small(*settings, "trainer.max_epochs=3", f"resume={path}")
    assert longer.code == 1 and "a checkpoint of a run with the same schedule" in longer.err


def test_inputs_rescaled_to_the_fixed_point(small):
    """Under qstar the first pre-activations have second moment q*, that of every later layer at infinite width."""
    from orthontk.data import TensorDataModule
    from orthontk.init import initialize
    from orthontk.meanfield import fixed_point
    from orthontk.networks import FCN, make_activation

    q_star = fixed_point(make_activation("tanh"), 1.05, 2.01e-5)
    data = TensorDataModule("mnist_5k", train_size=60, batch_size=10, normalize="qstar")
    data.set_first_layer(q_star, 1.05, 2.01e-5)
    net = initialize(FCN(784, 10, width=4000, depth=2), "gaussian", torch.Generator().manual_seed(0))
    z = net.layers[0](data.train.images.flatten(1))
    assert z.square().mean(1).sub(q_star).abs().max() < 0.1 * q_star
    assert small("data.normalize=qstar").code == 0
