"""Inputs that a network does not take, and networks that fail on any, are named in one line."""

import pytest
import torch
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical_ntk

WITH_LENGTH = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten())  # whose outputs are as many as the input's length says


@pytest.mark.parametrize(
    ("net", "shapes", "said"),
    [
        (nn.Linear(12, 3), {"x1": (5, 3, 4)}, r"x1, .*\(5, 3, 4\), .*: mat1 and mat2"),
        (nn.Linear(12, 3), {"x1": (4, 12), "x2": (5, 3, 4)}, r"x2, .*\(5, 3, 4\), .*: mat1 and mat2"),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), {"x1": (5,)}, r"x1, .*\(5,\), .*: Dimension out of range"),
        (nn.Embedding(3, 2), {"x1": (5,)}, r"x1, torch.float32 .*: Expected tensor for argument #1 'indices'"),
        (WITH_LENGTH, {"x1": (4, 1, 8), "x2": (4, 1, 9)}, r"as many outputs as x1, 12; found 14"),
    ],
)
def test_inputs_that_the_network_does_not_take(net, shapes, said):
    with pytest.raises(InvalidValue, match=said):
        empirical_ntk(net, **{name: torch.ones(shape) for name, shape in shapes.items()})


def test_what_goes_wrong_in_a_network_by_itself_stays_the_cause():
    class Broken(nn.Linear):
        def forward(self, x):
            raise RuntimeError("out of coffee")

    with pytest.raises(InvalidValue, match=r"^net=Broken: expected one that takes x1, .*: out of coffee") as refusal:
        empirical_ntk(Broken(3, 2), torch.ones(4, 3))
    assert isinstance(refusal.value.__cause__, RuntimeError)


def test_embeddings_that_rescale_their_weights_are_refused():
    for kind in (nn.Embedding, nn.EmbeddingBag):
        net = kind(10, 4, max_norm=0.5)
        weight = net.weight.detach().clone()
        with pytest.raises(
            InvalidValue, match=rf"^net={kind.__name__}\(max_norm=…\): expected an embedding that does not"
        ):
            empirical_ntk(net, torch.tensor([[1], [2]]))
        assert torch.equal(net.weight, weight)
