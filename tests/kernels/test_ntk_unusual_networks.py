"""Networks whose forward pass is hard to follow: exact all the same, against plain autograd in float64, or refused."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from function_network import Net, chosen_by_example, parameter, two_layers
from naive_ntk import naive_ntk
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import NTKOperator, empirical_ntk, explain_ntk, ntk_and_layer_shares

pytestmark = pytest.mark.usefixtures("seeded")


def masked_in_place(net, x):
    weight = net.first.weight * 0.5
    weight[:, 0] = 0
    return net.readout(torch.tanh(F.linear(x, weight, net.first.bias)))


def detached_in_place(net, x):
    weight = net.first.weight * 0.5
    weight.detach_()
    return net.readout(torch.tanh(F.linear(x, weight) + net.first(x)))


def scaled_without_gradient(net, x):
    with torch.no_grad():
        weight = net.first.weight * 2
    return net.readout(torch.tanh(F.linear(x, weight) + net.first(x)))


def energy_and_forces(net, x):
    positions = x.detach().requires_grad_()
    energy = net.readout(torch.tanh(net.first(positions)))
    (forces,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
    return torch.cat([energy, forces], 1)


def inner_transform(net, x):
    slopes = torch.func.vmap(torch.func.grad(lambda v: torch.tanh(net.first(v)).sum()))(x)
    return net.readout(torch.tanh(net.first(x)) + slopes)


def skipped_by_some(net, x):
    return torch.cat([net.first(row) if row[0, 0] > 0 else row for row in x.split(1)])


def normalized_without_gradient(net, x):
    h = net.first(x)
    with torch.no_grad():
        length = h.norm(dim=1, keepdim=True)
    return net.readout(h / length)


def routed(net, x):
    outside, hidden = x[:, 0] > 0, torch.zeros_like(x)
    hidden[outside], hidden[~outside] = net.first(x[outside]), net.other(x[~outside])
    return net.readout(torch.tanh(hidden))


def also_used_without_gradient(net, x):
    with torch.no_grad():
        offset = net.first(x).sign()
    return net.readout(torch.tanh(net.first(x) + offset))


def in_inference_mode(net, x):
    with torch.inference_mode():
        offset = net.first(x)
    return net.readout(torch.tanh(x) + offset.clone())


EXACT = {
    "a scaled weight, written to": (masked_in_place, two_layers, (4,)),
    "a scaled weight, detached in place": (detached_in_place, two_layers, (4,)),
    "scaled without gradient": (scaled_without_gradient, two_layers, (4,)),
    "energy and forces": (energy_and_forces, two_layers, (4,)),
    "torch.func inside": (inner_transform, two_layers, (4,)),
    "a bias of one element": (
        lambda net, x: F.linear(x, net.weight, net.bias),
        lambda: {"weight": parameter(3, 4), "bias": parameter(1)},
        (4,),
    ),
    "a transposed scale of a LayerNorm": (
        lambda net, x: (F.layer_norm(x, (3, 3), net.weight.T) + x.sin() * net.weight).flatten(1),
        lambda: {"weight": parameter(3, 3)},
        (3, 3),
    ),
    "layers chosen by the example": (
        chosen_by_example,
        lambda: two_layers() | {"other": nn.Linear(4, 4)},
        (4,),
    ),
    "a layer that some examples skip": (skipped_by_some, two_layers, (4,)),
    "normalized without gradient": (normalized_without_gradient, two_layers, (4,)),
    "examples routed to layers": (routed, lambda: two_layers() | {"other": nn.Linear(4, 4)}, (4,)),
    "a layer whose result is not used": (
        lambda net, x: (net.other(x), net.readout(torch.tanh(net.first(x))))[1],
        lambda: two_layers() | {"other": nn.Linear(4, 4)},
        (4,),
    ),
    "a layer also used without gradient": (also_used_without_gradient, two_layers, (4,)),
    "a layer in inference mode": (in_inference_mode, two_layers, (4,)),
    "time first": (lambda net, x: net.readout(torch.tanh(net.first(x.transpose(0, 1)))[0]), two_layers, (2, 4)),
    "distances": (
        lambda net, x: net.readout(torch.exp(-torch.cdist(x, net.centres))),
        lambda: {"centres": parameter(6, 4), "readout": nn.Linear(6, 3)},
        (4,),
    ),
    "PReLU in the fallback": (
        lambda net, x: net.readout(net.activation(net.first(torch.einsum("ni,i->ni", x, net.scale)))),
        lambda: two_layers() | {"scale": parameter(4), "activation": nn.PReLU(4)},
        (4,),
    ),
    "a number as parameter": (
        lambda net, x: net.temperature.exp() * net.readout(torch.tanh(net.first(x))),
        lambda: two_layers() | {"temperature": parameter()},
        (4,),
    ),
    "a parameter of a spectrum": (
        lambda net, x: net.readout(torch.fft.irfft(torch.fft.rfft(x) * net.gain, n=4)),
        lambda: {"gain": parameter(3), "readout": nn.Linear(4, 3)},
        (4,),
    ),
    "no inputs": (
        lambda net, x: net.readout(torch.tanh(net.first(x) + net.nothing(x[:, :0]))),
        lambda: two_layers() | {"nothing": nn.Linear(0, 4)},
        (4,),
    ),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("examples", [1, 2, 3, 6])
@pytest.mark.parametrize("name", EXACT)
def test_exact(name, examples):
    function, parts, shape = EXACT[name]
    net, x = Net(function, **parts()).double(), torch.randn(examples, *shape, dtype=torch.float64)
    for outputs in ("full", "trace"):
        expected = naive_ntk(net, x, outputs=outputs)
        torch.testing.assert_close(empirical_ntk(net, x, outputs=outputs), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("name", EXACT)
def test_products_are_those_of_the_kernel_or_refused(name):
    function, parts, shape = EXACT[name]
    net, x = Net(function, **parts()).double(), torch.randn(5, *shape, dtype=torch.float64)
    theta = naive_ntk(net, x)
    v = torch.randn(5, theta.shape[2], dtype=torch.float64)
    try:
        product = torch.from_numpy(NTKOperator(net, x, batch_size=2) @ v.flatten().numpy()).view_as(v)
    except InvalidValue as refusal:
        assert name == "distances" and "second derivatives" in str(refusal)
    else:
        torch.testing.assert_close(product, torch.einsum("ijab,jb->ia", theta, v), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "returned",
    [lambda z: (z, z), lambda z: {"logits": z}, lambda z: z.sum(), lambda z: z[:2], lambda z: torch.fft.rfft(z)],
)
def test_what_is_no_batch_of_real_outputs_is_refused(returned):
    net = Net(lambda net, x: returned(net.readout(x)), **two_layers())
    with pytest.raises(InvalidValue, match="net="):
        empirical_ntk(net, torch.randn(5, 4))


def test_every_pass_starts_from_the_networks_own_buffers():
    layer = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))  # iterates in training mode
    net = nn.Sequential(layer, nn.Tanh(), nn.Linear(6, 2)).double().train()
    x = torch.randn(8, 6, dtype=torch.float64)
    whole = empirical_ntk(net, x)
    assert explain_ntk(net, x, memory_limit=26_000).tiles > 1
    torch.testing.assert_close(empirical_ntk(net, x, memory_limit=26_000), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_attributes_that_the_forward_pass_sets_are_put_back():
    net = nn.Sequential(nn.utils.weight_norm(nn.Linear(4, 3)))
    before = net[0].weight
    empirical_ntk(net, torch.ones(2, 4))
    assert net[0].weight is before


@pytest.mark.filterwarnings("error")
def test_what_torch_says_of_its_own_vmap_reaches_no_user():
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    net = Net(lambda net, x: net.attention(x, x, x, need_weights=False)[0].mean(1), attention=attention)
    empirical_ntk(net, torch.randn(3, 2, 4))


def test_operator_where_forward_mode_fails_or_differs():
    table = nn.Embedding(7, 4, padding_idx=0)
    nn.init.normal_(table.weight)
    tied = Net(lambda net, x: torch.tanh(net.table(x).mean(1)) @ net.table.weight.T, table=table).double()
    tokens = torch.arange(12).reshape(4, 3) % 7
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).double().eval()
    for net, x in ((tied, tokens), (encoder, torch.randn(3, 2, 4, dtype=torch.float64))):
        theta, operator = empirical_ntk(net, x), NTKOperator(net, x)
        n, o = theta.shape[0], theta.shape[2]
        matrix = theta.permute(0, 2, 1, 3).reshape(n * o, n * o).numpy()
        np.testing.assert_allclose(operator @ np.eye(n * o), matrix, rtol=1e-9, atol=1e-9)
        v = np.linspace(1, 2, n * o) * 1j + 1
        np.testing.assert_allclose(operator @ v, matrix @ v, rtol=1e-9, atol=1e-9)


def test_a_file_of_the_same_weights_with_another_activation_is_refused(tmp_path):
    tanh, relu = (nn.Sequential(nn.Linear(4, 8), phi, nn.Linear(8, 2)) for phi in (nn.Tanh(), nn.ReLU()))
    relu.load_state_dict(tanh.state_dict())
    x, out = torch.ones(3, 4), tmp_path / "theta.npy"
    empirical_ntk(tanh, x, out=out)
    with pytest.raises(InvalidValue, match="out"):
        empirical_ntk(relu, x, out=out)
    tanh[1].factor = 2  # which its forward pass might use
    with pytest.raises(InvalidValue, match="out"):
        empirical_ntk(tanh, x, out=out)
    del tanh[1].factor
    for size in (200, 5):
        with out.open("r+b") as file:
            file.truncate(size)
        with pytest.raises(InvalidValue, match="out"):
            empirical_ntk(tanh, x, out=out)


def test_gradients_that_are_0_but_for_rounding_need_no_slow_path(monkeypatch):
    def biased(net, x):
        return net.readout(F.layer_norm(net.first(x) + net.shift.sum(), (4,)))

    monkeypatch.setattr("orthontk.kernels.fallback._one_at_a_time", None)
    net = Net(biased, shift=parameter(2), **two_layers())
    x = torch.randn(6, 4)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-4, atol=1e-4)


def test_a_bias_of_another_module_has_a_share_of_its_own():
    net = Net(lambda net, x: F.linear(x, net.first.weight, net.readout.bias), **two_layers())
    net.readout = nn.Linear(4, 4)
    x = torch.ones(2, 4)
    shares = ntk_and_layer_shares(net, x)[1]
    assert shares == pytest.approx({"first": 4 / 5, "readout": 1 / 5})  # |x|² of a weight, 1 of a bias


class Tanh(torch.autograd.Function):
    """Named like an operation of PyTorch's, with a backward pass that takes no batches of gradients."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x.tanh())
        return x.tanh()

    @staticmethod
    def backward(ctx, gradient):
        (y,) = ctx.saved_tensors
        return torch.from_numpy(gradient.numpy() * (1 - y.numpy() ** 2))


def test_a_users_function_named_like_one_of_pytorchs():
    net, x = Net(lambda net, x: net.readout(Tanh.apply(net.first(x))), **two_layers()), torch.randn(3, 4)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x))


@pytest.mark.parametrize("examples", [1, 3])
def test_batchnorm_of_images_whose_positions_become_tokens(examples, seeded):
    """PyTorch's backward pass is wrong there for a single example; a large batch is the reference."""

    def tokens(net, x):
        return net.readout(net.norm(net.first(x)).flatten(2).transpose(1, 2))

    parts = {"first": nn.Conv2d(2, 6, 3, padding=1), "norm": nn.BatchNorm2d(6), "readout": nn.Linear(6, 2)}
    net, x = Net(tokens, **parts).double().eval(), torch.randn(5, 2, 5, 4, dtype=torch.float64)
    net.norm.running_mean.uniform_(-1, 1), net.norm.running_var.uniform_(0.5, 2)
    expected = empirical_ntk(net, x)
    torch.testing.assert_close(expected, naive_ntk(net, x))
    torch.testing.assert_close(empirical_ntk(net, x[:examples]), expected[:examples, :examples])
    torch.testing.assert_close(empirical_ntk(net, x, x[:examples]), expected[:, :examples])


def test_what_wraps_a_network_is_taken_off():
    net, x = nn.Sequential(nn.Linear(4, 3), nn.Tanh()), torch.randn(3, 4)
    assert torch.equal(empirical_ntk(nn.DataParallel(net), x), empirical_ntk(net, x))


def test_arguments_that_are_no_networks():
    with pytest.raises(InvalidValue, match=r"nn\.Module"):
        empirical_ntk(torch.tanh, torch.ones(2, 4))
