"""Weights that are computed from parameters: exact, structured where no example enters them, refused where one does."""

import pytest
import torch
import torch.nn.functional as F
from function_network import Net, parameter, two_layers
from naive_ntk import naive_ntk
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical_ntk, explain_ntk
from orthontk.kernels.problem import OUTPUTS
from orthontk.kernels.pulling_back import COPIES
from orthontk.kernels.shares import PULLED_BACK, TORCH_FUNC

pytestmark = pytest.mark.usefixtures("seeded")


def through_tanh(weight):
    """A network whose first weight is a function of its parameters."""
    return lambda net, x: net.readout(torch.tanh(F.linear(x, weight(net))))


def parametrized(layer, wrap, shape):
    return lambda net, x: net.readout(torch.tanh(net.layer(x)).flatten(1)), lambda: {"layer": wrap(layer())}, shape


def orthogonal(kind):
    return parametrized(
        lambda: nn.Linear(4, 4), lambda layer: parametrizations.orthogonal(layer, orthogonal_map=kind), (4,)
    )


def hypernetwork(net, x):
    codes = torch.linspace(-1, 1, 8, dtype=x.dtype).view(4, 2)
    return net.readout(torch.tanh(F.linear(x, net.hyper(codes))))


def twice_through_one(net, x):
    gram = net.theta.T @ net.theta
    return net.readout(torch.tanh(x @ gram + x @ gram.exp()) + F.linear(x, net.theta))


def function_of_a_used_function(net, x):
    weight = net.theta.tanh()
    return net.readout(torch.tanh(F.linear(x, weight)) + F.linear(x, weight @ net.other, net.offset.exp()))


def written_between_uses(net, x):
    weight = net.theta * net.mask
    first = F.linear(x, weight)
    weight = weight.clone()
    weight[0] = weight[1]
    weight.mul_(net.other)
    return net.readout(torch.tanh(first) + F.linear(x, weight))


def standardized_convolution(net, x):
    centred = net.filters - net.filters.mean((1, 2, 3), keepdim=True)
    return net.readout(torch.tanh(F.conv2d(x, centred / centred.norm(), padding=1, groups=2)).flatten(1))


STRUCTURED = {
    "orthogonal by Householder": orthogonal("householder"),
    "orthogonal by Cayley": orthogonal("cayley"),
    "orthogonal by the exponential": orthogonal("matrix_exp"),
    "weight norm": parametrized(lambda: nn.Linear(4, 4), parametrizations.weight_norm, (4,)),
    "weight norm of a grouped convolution": parametrized(
        lambda: nn.Conv2d(2, 4, 2, groups=2), parametrizations.weight_norm, (2, 2, 2)
    ),
    "spectral norm": parametrized(lambda: nn.Linear(4, 4), parametrizations.spectral_norm, (4,)),
    "a mask": (through_tanh(lambda net: net.theta * net.mask), lambda: {"mask": torch.eye(4)}, (4,)),
    "low rank": (through_tanh(lambda net: net.theta[:, :2] @ net.other[:2]), dict, (4,)),
    "a low-rank update": (
        lambda net, x: net.readout(torch.tanh(F.linear(x, net.theta + 0.5 * net.other[:, :1] @ net.other[1:2]))),
        dict,
        (4,),
    ),
    "rows of length one": (through_tanh(lambda net: F.normalize(net.theta)), dict, (4,)),
    "one of a stack": (
        through_tanh(lambda net: net.stack.unbind(0)[1] / net.stack.std()),
        lambda: {"stack": parameter(3, 4, 4)},
        (4,),
    ),
    "symmetric": (through_tanh(lambda net: (net.theta + net.theta.T) / 2), dict, (4,)),
    "one of several results": (through_tanh(lambda net: torch.linalg.qr(net.theta)[0]), dict, (4,)),
    "made by a network": (hypernetwork, lambda: {"hyper": nn.Linear(2, 4)}, (4,)),
    "a function used twice, and its parameter": (twice_through_one, dict, (4,)),
    "a function of a used function": (function_of_a_used_function, lambda: {"offset": parameter(4)}, (4,)),
    "written to between its uses": (written_between_uses, lambda: {"mask": torch.eye(4)}, (4,)),
    "a standardized convolution": (standardized_convolution, lambda: {"filters": parameter(2, 1, 3, 3)}, (2, 3, 3)),
    "an offset and a scale": (
        lambda net, x: net.readout(torch.tanh(x * net.scale.exp() + net.offset.tanh())) * net.temperature.exp(),
        lambda: {"scale": parameter(4), "offset": parameter(4), "temperature": parameter()},
        (4,),
    ),
    "positions from a table": (
        lambda net, x: net.readout((torch.tanh(net.first(x)) + net.table(torch.arange(3)) * 0.5).mean(1)),
        lambda: {"table": nn.Embedding(5, 4)},
        (3, 4),
    ),
    "keys of learned queries": (
        lambda net, x: net.readout(torch.softmax(x @ net.first(net.theta).T, -1)),
        dict,
        (4,),
    ),
    "tied": (
        lambda net, x: net.readout(torch.tanh(F.linear(net.first(x), net.first.weight.exp() * net.theta))),
        dict,
        (4,),
    ),
}


def structured(name):
    function, parts, shape = STRUCTURED[name]
    outputs = 36 if "standardized" in name else 4
    common = two_layers() | {"theta": parameter(4, 4), "other": parameter(4, 4), "readout": nn.LazyLinear(3)}
    net = Net(function, **common | parts()).eval()
    net(torch.zeros(1, *shape))
    assert net.readout.in_features in (4, 18, outputs)
    return net.double(), shape


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("name", STRUCTURED)
def test_exact_and_structured(name, outputs):
    net, shape = structured(name)
    x = torch.randn(4, *shape, dtype=torch.float64)  # as many examples as the weights have rows
    for second in (None, x[1:] + 1):
        theta = empirical_ntk(net, x, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, x, second, outputs), rtol=1e-9, atol=1e-10)
    paths = {row.path for row in explain_ntk(net, x, outputs=outputs).rows}
    assert PULLED_BACK in paths and TORCH_FUNC not in paths


@pytest.mark.parametrize("name", STRUCTURED)
def test_tiles_do_not_matter(name):
    net, shape = structured(name)
    x = torch.randn(7, *shape, dtype=torch.float64)
    tight = next(limit for limit in range(2000, 10**6, 2000) if _fits(net, x, limit))
    assert explain_ntk(net, x, memory_limit=tight).tiles > 1
    torch.testing.assert_close(empirical_ntk(net, x, memory_limit=tight), naive_ntk(net, x), rtol=1e-9, atol=1e-10)


def _fits(net, x, limit):
    try:
        explain_ntk(net, x, memory_limit=limit)
    except InvalidValue:
        return False
    return True


@pytest.mark.parametrize(
    "weight",
    [
        lambda theta: torch.cat([theta[:2].sin(), theta[2:].cos()]).abs(),
        lambda theta: torch.maximum(theta, theta.T)[torch.tensor([0, 2, 2, 1])],
        lambda theta: theta.clamp_min(0.1) / (theta.norm() + theta.std() + theta.var(1, keepdim=True)),
        lambda theta: theta.split([1, 3])[1].split(1)[2] + (theta.square() + 1).sqrt(),
    ],
)
def test_operations_that_take_all_gradients_together(weight):
    net = Net(through_tanh(lambda net: weight(net.theta)), **two_layers(), theta=parameter(4, 4)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["weight norm", "made by a network", "one of several results"])
def test_blocks_that_are_pulled_back_together_do_not_matter(name, monkeypatch):
    net, shape = structured(name)
    x = torch.randn(5, *shape, dtype=torch.float64)
    copies = 3 * COPIES * 16 * 8  # of the gradients of one example's outputs
    monkeypatch.setattr("orthontk.kernels.pulling_back.MOST_TOGETHER", 2 * copies)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-9, atol=1e-10)


def partly_unknown(net, x):
    """θ₁ also acts where nothing is known of its use; so θ₂, which shares a function with it, is left as well."""
    return net.readout(torch.tanh(F.linear(x, net.theta @ net.other)) + torch.einsum("oi,ni->no", net.theta, x))


def chained_to_unknown(net, x):
    product = net.first.weight @ net.other
    return F.linear(x, product) + F.linear(x, net.other @ net.theta) + torch.einsum("oi,ni->no", net.theta, x)


@pytest.mark.parametrize(
    ("function", "left"),
    [(partly_unknown, {"theta", "other"}), (chained_to_unknown, {"theta", "other", "weight"})],
)
def test_what_shares_a_function_with_an_unknown_use_is_left_to_the_fallback(function, left):
    net = Net(function, **two_layers(), theta=parameter(4, 4), other=parameter(4, 4)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-9, atol=1e-10)
    assert {row.parameters for row in explain_ntk(net, x).rows if row.path == TORCH_FUNC} == left


@pytest.mark.parametrize("wrap", [parametrizations.orthogonal, parametrizations.weight_norm])
def test_functions_that_are_left_to_the_fallback_do_not_take_others_with_them(wrap, tmp_path):
    """A file is written to only by a network whose blocks go the way that the plan says."""

    def function(net, x):
        first = torch.tanh(net.first(x))
        return net.readout(torch.tanh(net.second(first) + torch.einsum("oi,ni->no", net.first.weight, first)))

    parts = two_layers()
    net = Net(function, **parts | {"first": wrap(parts["first"]), "second": wrap(nn.Linear(4, 4))}).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    theta = empirical_ntk(net, x, out=tmp_path / "theta.npy")
    torch.testing.assert_close(theta, naive_ntk(net, x), rtol=1e-9, atol=1e-10)
    paths = {row.layer: row.path for row in explain_ntk(net, x).rows if "parametrizations" in row.layer}
    assert paths == {"first.parametrizations.weight": TORCH_FUNC, "second.parametrizations.weight": PULLED_BACK}


def test_fixed_parameters_of_a_function_do_not_count():
    parts = two_layers() | {"theta": parameter(4, 4), "other": parameter(4, 4)}
    net = Net(through_tanh(lambda net: net.theta @ net.other), **parts).double()
    net.other.requires_grad_(False)
    x = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-9, atol=1e-10)
    assert "other" not in str(explain_ntk(net, x))


@pytest.mark.parametrize(
    "weight",
    [
        lambda net, x: net.theta * x.mean(),
        lambda net, x: net.theta * x.detach().mean(),
        lambda net, x: net.theta + x[:1].T.detach(),
        lambda net, x: net.theta * torch.tensor(x.sum().item()),
    ],
)
def test_a_weight_made_from_the_examples_is_refused(weight):
    net = Net(lambda net, x: F.linear(x, weight(net, x)), theta=parameter(4, 4)).double()
    with pytest.raises(InvalidValue, match="other examples"):
        empirical_ntk(net, torch.randn(5, 4, dtype=torch.float64))


def test_a_weight_made_from_tokens_is_refused():
    net = Net(
        lambda net, tokens: F.linear(net.table(tokens).mean(1), net.theta * tokens.T.double().mean()),
        table=nn.Embedding(7, 4),
        theta=parameter(4, 4),
    ).double()
    with pytest.raises(InvalidValue, match="other examples"):
        empirical_ntk(net, torch.arange(6).view(3, 2))


@pytest.mark.parametrize("examples", [1, 3, 4])
def test_tokens_with_their_axis_first(examples):
    def forward(net, tokens):
        hidden = net.table(tokens.T)  # (positions, examples, features)
        return net.readout(torch.tanh(hidden + net.positions.exp()).mean(0))

    parts = {"table": nn.Embedding(7, 4), "positions": parameter(3, 1, 4), "readout": nn.Linear(4, 3)}
    net = Net(forward, **parts).double()
    tokens = torch.randint(7, (examples, 3))
    torch.testing.assert_close(empirical_ntk(net, tokens), naive_ntk(net, tokens), rtol=1e-9, atol=1e-10)


def chosen_by_example(net, x):
    weights = net.theta.exp(), net.theta.exp() if net.alike else net.other.tanh()
    return torch.cat([F.linear(row, weights[int(row[0, 0] > 0)]) for row in x.split(1)])


@pytest.mark.parametrize("alike", [True, False])
def test_functions_chosen_by_the_example(alike):
    net = Net(chosen_by_example, theta=parameter(4, 4), other=parameter(4, 4), alike=alike).double()
    x = torch.randn(6, 4, dtype=torch.float64).abs()
    x[3:, 0] *= -1  # the first few, which the plan is made from, do not show it
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_that_the_caller_keeps_in_a_cache_are_computed_all_the_same(dtype):
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), parametrizations.orthogonal(nn.Linear(4, 3))).float()
    x = torch.randn(5, 4, dtype=torch.float32)
    expected = empirical_ntk(net, x, dtype=dtype)
    with parametrize.cached():
        kept = net(x)
        for _ in range(2):
            torch.testing.assert_close(empirical_ntk(net, x, dtype=dtype), expected)
        assert torch.equal(net(x), kept)
