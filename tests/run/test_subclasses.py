"""A user's subclass that computes something of its own is not given the theory of its base class."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from orthontk.callbacks import JacobianSpectrum, KernelConvergence, LargestStableRate, Prediction
from orthontk.callbacks.infinite_limit import has_infinite_kernels, kernels_of_limit
from orthontk.checks import InvalidValue
from orthontk.ensemble.stack import replica_losses
from orthontk.inheritance import runs_as
from orthontk.kernels import infinite_kernels
from orthontk.meanfield import hidden_jacobian
from orthontk.networks import FCN, Dense
from orthontk.run.learning_rate import largest_stable_lr_of
from orthontk.training import OneHotMSE, TrainingModule
from orthontk.training.heavy_ball import HeavyBall, heavy_ball


class SameMSE(OneHotMSE):
    pass


class HalfMSE(OneHotMSE):
    def forward(self, outputs, labels):
        return super().forward(outputs.flatten(0, -2), labels.flatten()) / 2


class SmoothedCrossEntropy(nn.CrossEntropyLoss):
    def __init__(self):
        super().__init__(label_smoothing=0.1)


class SameSGD(torch.optim.SGD):
    pass


class SignSGD(torch.optim.SGD):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad.sign()


class SameFCN(FCN):
    pass


class ResidualFCN(FCN):
    def forward(self, x):
        h = self.layers[0](x)
        for layer, activation in zip(self.layers[1:-1], self.activations, strict=False):
            h = h + layer(activation(h))
        return self.layers[-1](self.activations[-1](h))


class CentredDense(Dense):
    def forward(self, h):
        return super().forward(h - h.mean(-1, keepdim=True))


def training(network=None, loss=None, optimizer=torch.optim.SGD):
    config = {"init": {"scheme": "gaussian"}}
    return TrainingModule(network or FCN(3, 2, 4, 4), loss or OneHotMSE(), optimizer, config=config)


def with_layer(layer):
    network = FCN(3, 2, 4, 4)
    network.layers[1] = layer
    return network


def test_a_subclass_runs_as_its_base_unless_it_overrides():
    assert runs_as(SameMSE(), OneHotMSE) and not runs_as(HalfMSE(), OneHotMSE) and not runs_as(nn.MSELoss(), OneHotMSE)
    parameter = nn.Parameter(torch.zeros(1))
    parameter.grad = torch.ones(1)
    for optimizer, expected in ((SameSGD, True), (SignSGD, False)):
        made = optimizer([parameter], lr=0.1)  # torch wraps the step of a class when it is first made,
        torch.optim.lr_scheduler.StepLR(made, 1)  # and a schedule that of the optimizer
        assert runs_as(made, torch.optim.SGD) == expected


def test_an_optimizer_with_a_step_of_its_own_is_no_heavy_ball():
    parameters = [nn.Parameter(torch.zeros(1))]
    assert heavy_ball(SameSGD(parameters, lr=0.5)) == HeavyBall(0.5, 0.0)
    with pytest.raises(InvalidValue, match="optimizer=signsgd"):
        heavy_ball(SignSGD(parameters, lr=0.5))


def test_a_loss_with_a_forward_of_its_own_is_not_predicted():
    Prediction().check_module(training(loss=SameMSE()))
    for loss in (HalfMSE(), SmoothedCrossEntropy()):
        with pytest.raises(InvalidValue, match="loss=mse or loss=cross_entropy"):
            Prediction().check_module(training(loss=loss))


def test_it_has_no_largest_stable_rate(monkeypatch):
    monkeypatch.setattr("orthontk.run.learning_rate.inputs_of", lambda data: None)
    monkeypatch.setattr("orthontk.run.learning_rate.mean_top_eigenvalue", lambda network, x: 1.0)
    for loss, rate in ((SameMSE(), 1), (SmoothedCrossEntropy(), 4)):
        assert largest_stable_lr_of(loss, torch.optim.SGD, FCN(3, 2, 4, 2), None) == rate
    with pytest.raises(InvalidValue, match="loss=HalfMSE"):
        largest_stable_lr_of(HalfMSE(), torch.optim.SGD, FCN(3, 2, 4, 2), None)


def test_whether_there_is_a_largest_stable_rate_is_known_before_the_fit():
    def check(loss, optimizer):
        network = FCN(3, 2, 4, 2)
        LargestStableRate().check_module(SimpleNamespace(loss=loss, optimizer_factory=optimizer, network=network))

    check(SameMSE(), torch.optim.SGD)
    for loss, optimizer, culprit in (
        (SameMSE(), torch.optim.Adam, "optimizer=adam"),
        (HalfMSE(), torch.optim.SGD, "loss=HalfMSE"),
    ):
        with pytest.raises(InvalidValue, match=f"^_target_=LargestStableRate: expected .*{culprit}"):
            check(loss, optimizer)


def test_in_an_ensemble_it_is_given_one_replica_after_the_other():
    """What it makes of a stack's outputs is not known."""
    outputs, labels = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0)), torch.arange(5) % 2
    torch.testing.assert_close(replica_losses(HalfMSE(), outputs, labels), OneHotMSE()(outputs, labels) / 2)


def test_a_network_with_a_forward_of_its_own_has_no_known_limit():
    assert has_infinite_kernels(training(SameFCN(3, 2, 4, 4)))
    for network in (ResidualFCN(3, 2, 4, 4), with_layer(CentredDense(4, 4))):
        assert not has_infinite_kernels(training(network))
        with pytest.raises(InvalidValue, match="net="):
            infinite_kernels(network, torch.ones(2, 3))


def test_nor_has_one_that_is_drawn_by_a_scheme_of_its_own():
    module = training(FCN(3, 2, 4, 4))
    module.config["init"] = {"scheme": {"_target_": "mine.signs.signs", "_partial_": True}}
    assert not has_infinite_kernels(module) and has_infinite_kernels(module, "gaussian")
    with pytest.raises(InvalidValue, match="limit=None: expected a scheme whose limit is known"):
        KernelConvergence().check_module(module)
    KernelConvergence(limit="gaussian").check_module(module)
    x = torch.ones(2, 3)
    assert torch.equal(kernels_of_limit(module, x, scheme="gaussian").ntk, infinite_kernels(module.network, x).ntk)


def test_nor_has_it_the_jacobian_of_its_base():
    JacobianSpectrum().check_module(training(SameFCN(3, 2, 4, 4)))
    hidden_jacobian(with_layer(CentredDense(4, 4)), torch.ones(3))  # which the layers themselves are asked for
    with pytest.raises(InvalidValue, match="an FCN or CNN"):
        JacobianSpectrum().check_module(training(ResidualFCN(3, 2, 4, 4)))
    with pytest.raises(InvalidValue, match="net=ResidualFCN"):
        hidden_jacobian(ResidualFCN(3, 2, 4, 4), torch.ones(3))
