"""A file of another network is told from one of the same, whatever has changed."""

import copy
import json

import numpy as np
import pytest
import torch
from drawn import inputs
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical_ntk


class Scaling(nn.Module):
    """Has in its attributes what its forward pass takes from them."""

    def __init__(self, function=lambda net, x: x, **attributes) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(3, 3), function
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.function(self, self.layer(x))


def in_closure(factor):
    return lambda net, x: x * factor


def in_list(net, x):
    return x * net.value[0]


def as_it_is(net, x):
    return x * torch.as_tensor(net.value)


def in_dictionary(net, x):
    return x * net.value["of"]["factor"]


def behind_a_zero(net, x):  # in no output that comes of these weights
    return (x - x.detach()) * net.value["factor"][0]


CHANGED = {
    "a list": (Scaling(in_list, value=[1.0]), Scaling(in_list, value=[2.0])),
    "a tensor": (Scaling(as_it_is, value=torch.ones(3)), Scaling(as_it_is, value=torch.tensor([1.0, 1, 0]))),
    "an array": (Scaling(as_it_is, value=np.ones(3)), Scaling(as_it_is, value=np.array([1.0, 0, 1]))),
    "nested": (
        Scaling(in_dictionary, value={"of": {"factor": 1}}),
        Scaling(in_dictionary, value={"of": {"factor": 2}}),
    ),
    "nothing the outputs show": (
        Scaling(behind_a_zero, value={"factor": torch.ones(1)}),
        Scaling(behind_a_zero, value={"factor": torch.zeros(1)}),
    ),
    "a closure": (Scaling(in_closure(1.0)), Scaling(in_closure(2.0))),
    "code": (Scaling(lambda net, x: x.sin()), Scaling(lambda net, x: x.cos())),
}


def drawn_alike(net):
    for parameter in net.double().parameters():
        nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    return net


@pytest.mark.parametrize("name", CHANGED)
def test_a_file_of_the_network_before_a_change_is_refused(tmp_path, name):
    path, x, (net, changed) = tmp_path / "theta.npy", inputs(5, 3), (drawn_alike(net) for net in CHANGED[name])
    theta = empirical_ntk(net, x, out=path).clone()
    assert torch.equal(empirical_ntk(copy.deepcopy(net), x, out=path), theta)
    with pytest.raises(InvalidValue, match="out="):
        empirical_ntk(changed, x, out=path)


def test_a_file_goes_on_where_outputs_round_otherwise_but_not_where_they_differ(tmp_path):
    """As on another machine, or with other threads."""
    path, x, net = tmp_path / "theta.npy", inputs(5, 3), drawn_alike(Scaling())
    theta = empirical_ntk(net, x, out=path).clone()
    log = path.with_name("theta.npy.tiles")
    (fingerprint, outputs), *tiles = map(json.loads, log.read_text().splitlines())
    for factor, same in ((1 + 1e-15, True), (1 + 1e-9, False)):
        lines = [[fingerprint, [[value * factor for value in row] for row in outputs]], *tiles]
        log.write_text("\n".join(map(json.dumps, lines)))
        if same:
            assert torch.equal(empirical_ntk(net, x, out=path), theta)
        else:
            with pytest.raises(InvalidValue, match="out="):
                empirical_ntk(net, x, out=path)


def test_attributes_that_passes_set_do_not_count(tmp_path):
    def remembering(net, x):
        net.last, net.calls = x, net.calls + 1
        return x

    path, x, net = tmp_path / "theta.npy", inputs(5, 3), Scaling(remembering, calls=0).double()
    theta = empirical_ntk(net, x, out=path).clone()
    net.last = net(x)  # left by an earlier pass
    net.calls = 0
    net.attribute = nn.functional.relu  # no data
    assert torch.equal(empirical_ntk(net, x, out=path), theta)
