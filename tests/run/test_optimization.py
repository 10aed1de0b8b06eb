"""Losses, optimizers and schedules of torch's: what fits is taken, what would be ignored or lost is refused."""

import io
from functools import cache

import pytest
import torch
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.run.optimization import build_loss, build_optimization
from orthontk.run.settings import InvalidSetting

SCHEDULERS = "torch.optim.lr_scheduler"
ONE_CYCLE = [f"+schedule._target_={SCHEDULERS}.OneCycleLR", "+schedule._partial_=true", "+schedule.total_steps=20"]
WITH_LISTS = ["Adam", "AdamW", "NAdam", "RAdam", "Adamax"]


@pytest.fixture
def composed(composed):
    sizes = ["data.train_size=40", "data.test_size=10", "data.val_size=10", "data.batch_size=10", "trainer.max_steps=8"]
    return lambda *overrides: composed(*sizes, *overrides)


@cache
def data():
    """The same for all: a schedule asks for the number of its batches, a loss for that of its classes."""
    return TensorDataModule("gaussian", shape=[2], classes=10, train_size=40, val_size=10, test_size=10, batch_size=10)


def built(config):
    return build_optimization(config, nn.Linear(2, 2), data())


def rates_of(config, lr):
    optimizer, schedule = built(config)
    trained = optimizer([{"params": nn.Linear(2, 2).parameters(), "lr": lr}])
    schedule(trained)
    return trained.param_groups[0]["lr"]


@pytest.mark.parametrize("name", WITH_LISTS)
def test_state_can_be_read_back(composed, name):
    """Of optimizers that keep their settings as they were given: `betas` is a list in the configuration."""
    config = composed("optimizer=adam", f"optimizer._target_=torch.optim.{name}")
    optimizer, _ = built(config)
    file = io.BytesIO()
    torch.save(optimizer(nn.Linear(2, 2).parameters()).state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["param_groups"][0]["betas"] in ([0.9, 0.999], (0.9, 0.999))


@pytest.mark.parametrize("axis", [[], ["ensemble.learning_rates=[0.1,1]"]])
def test_a_schedule_with_rates_of_its_own_is_refused(composed, axis):
    config = composed(*ONE_CYCLE, "+schedule.max_lr=0.5", *axis)
    with pytest.raises(InvalidValue, match=r"schedule=.*OneCycleLR: expected a schedule whose rates depend on those"):
        built(config)


def test_one_that_takes_the_rate_from_the_optimizer(composed):
    """In a single run; replicas of several rates share its settings."""
    overrides = [*ONE_CYCLE, "+schedule.max_lr=${optimizer.lr}", "optimizer.lr=0.5"]
    assert rates_of(composed(*overrides), 0.5) == pytest.approx(0.5 / 25)  # its first step
    config = composed(*overrides, "ensemble.learning_rates=[0.1,1]")
    with pytest.raises(InvalidValue, match="schedule"):
        built(config)


@pytest.mark.parametrize("steps", [0, 1, 8])
def test_one_that_begins_at_zero(composed, steps):
    warmup = ["+schedule._target_=run_schedules.warmup", "+schedule._partial_=true"]
    assert rates_of(composed(*warmup, f"trainer.max_steps={steps}"), 0.5) == 0


def test_one_that_follows_a_metric_is_refused(composed):
    config = composed(f"+schedule._target_={SCHEDULERS}.ReduceLROnPlateau", "+schedule._partial_=true")
    with pytest.raises(InvalidValue, match=r"schedule\._target_=ReduceLROnPlateau: expected a schedule of the step"):
        built(config)


@pytest.mark.parametrize("name", ["MSELoss", "BCEWithLogitsLoss", "L1Loss"])
def test_a_loss_of_other_shapes_is_refused(composed, name):
    """Also where a minibatch has as many examples as there are classes, so that torch would broadcast."""
    config = composed(f"loss._target_=torch.nn.{name}")
    with pytest.raises(InvalidSetting, match=r"^loss: .*size"):
        build_loss(config, data())


class LossWithMemory(nn.CrossEntropyLoss):
    """Divides by what it was the first time."""

    first = None

    def forward(self, outputs, labels):
        value = super().forward(outputs, labels)
        self.first = value.detach() if self.first is None else self.first
        return value / self.first


def test_a_loss_is_tried_on_a_copy_in_the_precision_of_the_training(composed):
    name = f"loss._target_={LossWithMemory.__module__}.LossWithMemory"
    assert build_loss(composed(name), data()).first is None
    weight = "+loss.weight={_target_:torch.DoubleTensor,_args_:[[1,1,1,1,1,1,1,1,1,2]]}"
    for each in (weight, weight.replace("Double", "Float")):  # which Lightning makes double
        build_loss(composed("loss=cross_entropy", each, "trainer.precision=64-true"), data())
    with pytest.raises(InvalidSetting, match="loss: "):
        build_loss(composed("loss=cross_entropy", weight), data())


def test_a_loss_is_tried_on_all_labels(composed):
    """With a single output too, which two classes may have."""
    two = TensorDataModule("gaussian", shape=[2], classes=2, train_size=40, val_size=10, test_size=10, batch_size=10)
    single = "model.out_features=1"
    assert type(build_loss(composed(single, "loss=mse"), two)).__name__ == "OneHotMSE"
    with pytest.raises(InvalidSetting, match=r"loss: .*out of range"):
        build_loss(composed(single, "loss._target_=torch.nn.MultiMarginLoss"), two)
    own = f"loss._target_={LossWithMemory.__module__}.LossWithMemory"  # whose class 1 there is none of
    with pytest.raises(InvalidSetting, match=r"loss: .*out of bounds"):
        build_loss(composed(single, own), two)
    with pytest.raises(InvalidValue, match="loss=CrossEntropyLoss: expected mse"):
        build_loss(composed(single, "loss=cross_entropy"), two)


@pytest.mark.parametrize("setting", ["_target_=torch.optim.SparseAdam", "differentiable=true"])
def test_an_optimizer_that_cannot_take_a_step_is_refused(composed, setting):
    overrides = ["optimizer=adam"] if setting.startswith("diff") else []
    with pytest.raises(InvalidSetting, match=r"^optimizer: "):
        built(composed(*overrides, f"++optimizer.{setting}"))


@pytest.mark.parametrize("name", ["LBFGS", "Adafactor"])
def test_an_optimizer_is_tried_on_a_copy(composed, name):
    network = nn.Linear(2, 2)
    before = [parameter.clone() for parameter in network.parameters()]
    build_optimization(composed(f"optimizer._target_=torch.optim.{name}"), network, data())
    assert all(map(torch.equal, before, network.parameters()))
    assert all(parameter.grad is None for parameter in network.parameters())
