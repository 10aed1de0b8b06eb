"""Inputs that a network does not take, and networks that fail on any, are named in one line."""

import pytest
import torch
from naive_ntk import naive_ntk
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical_ntk, explain_ntk
from orthontk.kernels.problem import prepare

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


def test_images_of_two_sizes(seeded, tmp_path):
    """What they need is counted by the larger ones, and how they are treated is said beforehand."""
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)).double()
    small, large = (torch.randn(4, 2, size, size, dtype=torch.float64) for size in (5, 20))
    expected = naive_ntk(net, small, large)
    torch.testing.assert_close(empirical_ntk(net, small, large, memory_limit=200_000), expected)
    torch.testing.assert_close(empirical_ntk(net, small, large, out=tmp_path / "theta.npy"), expected)
    assert "torch.func" in str(explain_ntk(net, small, large)) and "torch.func" not in str(explain_ntk(net, small))
    plans = []
    for x1, x2 in ((small, large), (large, small)):
        problem = prepare(net, x1, x2, "full", None, None)
        problem.make_plan()
        plans.append(problem.plan)
    assert plans[0].saved_bytes == plans[1].saved_bytes >= large[0].nbytes
