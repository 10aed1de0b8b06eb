"""Stacked networks against the networks they are made of."""

import copy
from functools import partial

import pytest
import torch
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.ensemble.optimizer import Leaves, check_elementwise, clip_by_norm, keep_replicas
from orthontk.ensemble.stack import StackedNetwork, replica_losses
from orthontk.init import initialize
from orthontk.networks import CNN, FCN
from orthontk.training import OneHotMSE


def fcn(seed, activation="tanh"):
    net = FCN(12, 3, width=5, depth=3, bias_var=0.1, activation=activation).double()
    return initialize(net, "orthogonal", torch.Generator().manual_seed(seed))


def cnn(seed):
    net = CNN(3, 4, 3, width=2, depth=3, bias_var=0.1).double()
    return initialize(net, "gaussian", torch.Generator().manual_seed(seed))


def learned(seed):
    """Parameters of its own in the activation, so that no hand-made path applies."""
    return fcn(seed, activation=nn.PReLU().double())


def stack_of(networks, batched):
    stack = StackedNetwork(networks[0], len(networks), batched)
    for row, network in enumerate(networks):
        stack.fill(row, network)
    return stack


@pytest.mark.parametrize("options", [{"ignore_index": 2}, {"label_smoothing": 0.1}, {"reduction": "sum"}, {}])
def test_losses_are_those_of_single_networks(options):
    outputs = torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels, loss = torch.arange(20) % 4, nn.CrossEntropyLoss(**options)
    expected = torch.stack([loss(one, labels) for one in outputs])
    torch.testing.assert_close(replica_losses(loss, outputs, labels), expected)


def inputs(shared, replicas=3):
    generator = torch.Generator().manual_seed(1)
    shape = (7,) if shared else (replicas, 7)
    x = torch.randn(*shape, 3, 2, 2, dtype=torch.float64, generator=generator)
    return x, torch.randint(3, shape, generator=generator)


@pytest.mark.parametrize("make", [fcn, cnn, learned])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), OneHotMSE(), nn.MultiMarginLoss()])
def test_outputs_losses_and_gradients_are_each_ones_own(make, batched, shared, loss):
    networks = [make(seed) for seed in range(3)]
    stack = stack_of(networks, batched)
    x, y = inputs(shared)
    x = nn.functional.pad(x, (1, 1, 1, 1)) if make is cnn else x
    outputs, losses, gradients = stack.gradients(x, y, loss, shared)
    for row, network in enumerate(networks):
        own_x, own_y = (x, y) if shared else (x[row], y[row])
        expected = network(own_x)
        value = loss(expected, own_y)
        value.backward()
        assert torch.allclose(outputs[row], expected, rtol=1e-12)
        assert torch.allclose(losses[row], value, rtol=1e-12)
        for place, parameter in enumerate(network.parameters()):
            found = gradients[0][place][row] if batched else gradients[row][place]
            assert torch.allclose(found, parameter.grad, rtol=1e-10, atol=1e-14)
        assert torch.allclose(stack.some([row], own_x[None] if not shared else x, shared)[0], expected, rtol=1e-12)
        assert torch.equal(stack.network(row)(own_x), expected)


@pytest.mark.parametrize("change", [lambda stack: stack.keep([1, 2]), lambda stack: stack.float()])
def test_a_replicas_network_is_that_of_the_stack_as_it_is_now(change):
    stack = stack_of([fcn(seed) for seed in range(3)], batched=True)
    stack.network(0)
    change(stack)
    with torch.no_grad():
        next(stack.parameters()).mul_(2)  # as an optimizer would
    expected = next(stack.parameters())[0]
    found = next(stack.network(0).parameters())
    assert torch.equal(found, expected) and found.dtype == expected.dtype


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_replica_that_is_no_number_disturbs_no_other(batched, bad):
    """Bit for bit: the products of a stack have the same sizes whatever is in it."""
    networks = [fcn(seed) for seed in range(3)]
    whole = stack_of(networks, batched)
    broken = copy.deepcopy(networks[1])
    with torch.no_grad():
        broken.layers[1].weight.fill_(bad)
    one_broken = stack_of([networks[0], broken, networks[2]], batched)
    x, y = inputs(True)
    _, losses, gradients = whole.gradients(x, y, OneHotMSE(), True)
    _, with_broken, others = one_broken.gradients(x, y, OneHotMSE(), True)
    assert not with_broken[1].isfinite()
    for row in (0, 2):
        assert losses[row] == with_broken[row]
        for place in range(len(list(whole.parameters()))):
            pair = [g[0][place][row] if batched else g[row][place] for g in (gradients, others)]
            assert torch.equal(*pair)


OPTIMIZERS = {
    "sgd": lambda p, **k: torch.optim.SGD(p, **{"lr": 0.1, **k}),
    "momentum": lambda p, **k: torch.optim.SGD(p, **{"lr": 0.1, "momentum": 0.9, "nesterov": True, **k}),
    "adam": lambda p, **k: torch.optim.Adam(p, **{"lr": 0.1, **k}),
    "rmsprop": lambda p, **k: torch.optim.RMSprop(p, **{"lr": 0.1, "centered": True, **k}),
    "adamw": lambda p, **k: torch.optim.AdamW(p, **{"lr": 0.1, "amsgrad": True, **k}),
}


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_rates_state_and_clipping_are_each_ones_own(batched, name, clip):
    """Four steps, after the second of which one replica is dropped; clipping would mix them if it could."""
    rates, make = [0.01, 0.01, 0.1], OPTIMIZERS[name]
    networks = [fcn(seed) for seed in range(3)]
    stack = stack_of(networks, batched)
    leaves = Leaves(stack, rates, [0.01, 0.1])
    optimizer = make(leaves.parameter_groups())
    singles = [make(net.parameters(), lr=rate) for net, rate in zip(networks, rates, strict=True)]
    x, y = inputs(True)
    for step in range(4):
        for net, single in zip(networks, singles, strict=True):
            single.zero_grad()
            OneHotMSE()(net(x), y).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            single.step()
        gradients = stack.gradients(x, y, OneHotMSE(), True)[2]
        if clip is not None:
            clip_by_norm(gradients, clip, batched)
        leaves.place(gradients)
        optimizer.step()
        if step == 1:
            kept = [0, 2]
            stack.keep(kept)
            before, leaves = leaves, Leaves(stack, [0.01, 0.1], [0.01, 0.1])
            keep_replicas(optimizer, before, leaves, kept)
            networks, singles = [networks[i] for i in kept], [singles[i] for i in kept]
    for row, net in enumerate(networks):
        for found, expected in zip(stack.network(row).parameters(), net.parameters(), strict=True):
            assert torch.allclose(found, expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_elementwise_optimizers_pass(name):
    check_elementwise(OPTIMIZERS[name])


class DecayOfMatrices(torch.optim.SGD):
    """Weight decay that leaves out biases, as is usual."""

    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad += 0.1 * parameter.detach() * (parameter.ndim > 1)
        super().step()


class Langevin(torch.optim.SGD):
    def step(self):
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data += 0.01 * torch.randn_like(parameter)


def of_matrices(parameters, lr=0.1):
    return torch.optim.SGD([parameter for parameter in parameters if parameter.ndim > 1], lr)


@pytest.mark.parametrize(
    "refused",
    [torch.optim.LBFGS, torch.optim.Adafactor, DecayOfMatrices, Langevin, of_matrices],
    ids=lambda x: x.__name__,
)
def test_optimizers_that_an_ensemble_cannot_have_are_refused(refused):
    accepted = "an optimizer that takes parameter groups, is elementwise .* and draws no random numbers, in an ensemble"
    with pytest.raises(InvalidValue, match=f"optimizer={refused.__name__}: expected {accepted}"):
        check_elementwise(partial(refused, lr=0.1))


def test_mean_losses_of_stacked_outputs():
    outputs, labels = torch.randn(3, 7, 4), torch.randint(4, (7,))
    for loss in (nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(weight=torch.rand(4)), OneHotMSE()):
        expected = torch.stack([loss(part, labels) for part in outputs])
        assert torch.allclose(replica_losses(loss, outputs, labels), expected)
