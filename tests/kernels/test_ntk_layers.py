"""Every kind of layer takes its structured path and agrees with per-example Jacobians, in float64."""

import pytest
import torch
from naive_ntk import naive_ntk
from torch import nn

from orthontk.kernels import empirical_ntk, explain_ntk
from orthontk.kernels.padding import CircularPad
from orthontk.networks import Conv, Dense

OUTPUTS = ("full", "trace", "sum_of_logits")


def inputs(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(net: nn.Module) -> nn.Module:
    """All parameters random, those of normalizations too; dyadic scale factors would hide errors."""
    generator = torch.Generator().manual_seed(7)
    for p in net.double().parameters():
        p.data = 0.6 * torch.randn(p.shape, generator=generator, dtype=torch.float64)
    for name, buffer in net.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
        elif name.endswith("running_mean"):
            buffer.normal_(generator=generator)
    return net.eval()


class Affine(nn.Module):
    """Elementwise affine, without a module of its own in torch."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.zeros(shape))

    def forward(self, h):
        return h * self.scale + self.shift


def conv_net(layer: nn.Module, channels: int) -> nn.Module:
    return nn.Sequential(
        layer, nn.Tanh(), nn.Flatten(2), nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(2 * channels, 2)
    )


def between(layer: nn.Module) -> nn.Module:
    """The layer between two convolutions on 4 channels."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 2), nn.Tanh(), layer, nn.Tanh(), nn.Conv2d(4, 3, 2), nn.Flatten(), nn.Linear(27, 2)
    )


IMAGE, SIGNAL, VOLUME = (2, 5, 5), (2, 9), (2, 4, 5, 3)
LAYERS = {
    "Dense": (nn.Sequential(Dense(4, 5, 1.3, 0.2), nn.Tanh(), Dense(5, 2, 1.3, 0.2)), (4,)),
    "Dense over positions": (nn.Sequential(Dense(4, 5, 1.3, 0.2), nn.Tanh(), nn.Flatten(), Dense(15, 2)), (3, 4)),
    "Conv": (conv_net(Conv(2, 3, weight_var=1.3, bias_var=0.2), 3), IMAGE),
    "Linear": (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2, bias=False)), (4,)),
    "Linear over positions": (nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Flatten(), nn.Linear(30, 2)), (2, 3, 4)),
    "Conv1d": (conv_net(nn.Conv1d(2, 4, 3, stride=2, padding=1), 4), SIGNAL),
    "Conv2d strided": (conv_net(nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0)), 4), IMAGE),
    "Conv2d dilated": (conv_net(nn.Conv2d(2, 3, 2, dilation=(2, 1), bias=False), 3), IMAGE),
    "Conv2d grouped": (conv_net(nn.Conv2d(2, 6, 3, groups=2), 6), IMAGE),
    "Conv2d depthwise": (conv_net(nn.Conv2d(2, 2, 3, groups=2, padding="same"), 2), IMAGE),
    "Conv2d same, even": (conv_net(nn.Conv2d(2, 3, 4, padding="same", dilation=1), 3), IMAGE),
    "Conv2d valid": (conv_net(nn.Conv2d(2, 3, 4, padding="valid"), 3), IMAGE),
    "Conv2d circular": (conv_net(nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), 3), IMAGE),
    "Conv2d reflect": (conv_net(nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"), 3), IMAGE),
    "Conv2d replicate": (conv_net(nn.Conv2d(2, 3, 3, padding=1, padding_mode="replicate", stride=2), 3), IMAGE),
    "Conv3d": (conv_net(nn.Conv3d(2, 3, (2, 3, 1), padding=(0, 1, 0), stride=(2, 1, 1)), 3), VOLUME),
    **{
        f"{kind.__name__} dilated, grouped, {mode}": (
            conv_net(kind(2, 4, 2, stride=2, dilation=2, groups=2, padding=1, padding_mode=mode), 4),
            shape,
        )
        for kind, shape, mode in (
            (nn.Conv1d, SIGNAL, "circular"),
            (nn.Conv1d, SIGNAL, "reflect"),
            (nn.Conv3d, VOLUME, "replicate"),
            (nn.Conv3d, VOLUME, "circular"),
        )
    },
    "LayerNorm": (nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 2)), (4,)),
    "LayerNorm over an image": (between(nn.LayerNorm([4, 4, 4])), IMAGE),
    "RMSNorm": (nn.Sequential(nn.Linear(4, 5), nn.RMSNorm(5), nn.Tanh(), nn.Linear(5, 2)), (4,)),
    "GroupNorm": (between(nn.GroupNorm(2, 4)), IMAGE),
    "BatchNorm in eval mode": (between(nn.BatchNorm2d(4)), IMAGE),
    "elementwise affine": (nn.Sequential(nn.Linear(4, 5), Affine(5), nn.Tanh(), Affine(1, 5), nn.Linear(5, 2)), (4,)),
    "elementwise affine of an image": (between(Affine(4, 1, 1)), IMAGE),
    "PReLU": (nn.Sequential(nn.Linear(4, 5), nn.PReLU(), nn.Linear(5, 4), nn.PReLU(4), nn.Linear(4, 2)), (4,)),
    "PReLU of an image": (between(nn.Sequential(nn.PReLU(4), nn.Conv2d(4, 4, 1), nn.PReLU())), IMAGE),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_layer(name, outputs):
    net, shape = LAYERS[name]
    net, x1, x2 = drawn(net), inputs(4, *shape), inputs(2, *shape, seed=2)
    for second in (None, x2):
        theta = empirical_ntk(net, x1, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, x1, second, outputs), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_structured(name):
    net, shape = LAYERS[name]
    explanation = explain_ntk(drawn(net), inputs(4, *shape))
    assert "torch.func" not in str(explanation)
    shown = {f"{r.layer}.{p}" for r in explanation.rows[1:] for p in r.parameters.split(", ")}
    assert shown == {name for name, _ in net.named_parameters()}


TOKENS = torch.randint(0, 7, (5, 6), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("padding_idx", [None, 2, -1])
def test_embedding(padding_idx, outputs):
    net = drawn(nn.Sequential(nn.Embedding(7, 3, padding_idx=padding_idx), nn.Flatten(), nn.Tanh(), nn.Linear(18, 2)))
    assert "torch.func" not in str(explain_ntk(net, TOKENS))
    for second in (None, TOKENS[1:3]):
        theta = empirical_ntk(net, TOKENS, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, TOKENS, second, outputs), rtol=1e-10, atol=1e-10)


class Repeated(nn.Module):
    """One layer called three times, a parameter tied across layers, and one used outside its module."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent, self.readout = nn.Linear(4, 4), nn.Linear(4, 2)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.recurrent.weight

    def forward(self, h):
        for _ in range(3):
            h = torch.tanh(self.recurrent(h))
        return self.readout(torch.tanh(self.tied(h)))


class TiedConvolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.coarse = nn.Conv2d(2, 2, 3, stride=2)
        self.coarse.weight = self.conv.weight

    def forward(self, h):
        return self.coarse(torch.tanh(self.conv(torch.tanh(self.conv(h))))).flatten(1)[:, :3]


class OutsideItsModule(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.readout = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, h):
        return self.readout(torch.tanh(torch.tanh(self.layer(h)) @ self.layer.weight))


class UnknownUse(OutsideItsModule):
    """The layer's weight and bias also enter through an operation that nothing is known of."""

    def forward(self, h):
        h = torch.tanh(self.layer(h))
        return self.readout(torch.einsum("ni,oi,o->no", h, self.layer.weight, self.layer.bias))


class TiedEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.readout = nn.Embedding(7, 3), nn.Linear(3, 7)
        self.readout.weight = self.embedding.weight

    def forward(self, tokens):
        return self.readout(torch.tanh(self.embedding(tokens).mean(1)))


class SequenceFirst(nn.Module):
    """Examples along the second axis, and as many positions as the probe has examples."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.readout = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, h):
        return self.readout(torch.tanh(self.layer(h.transpose(0, 1))).sum(0))


class MergedPositions(SequenceFirst):
    def forward(self, h):  # (N, T, 4)
        return self.readout(torch.tanh(self.layer(h.flatten(0, 1))).unflatten(0, h.shape[:2]).sum(1))


class InPlace(OutsideItsModule):
    def forward(self, h):
        return self.readout(nn.functional.relu(self.layer(h).mul_(2.0), inplace=True))


class Masked(OutsideItsModule):
    """A pruned layer: its weight is not the parameter, its bias is."""

    def forward(self, h):
        mask = torch.tensor([[1.0, 0, 1, 0]]).double()
        return self.readout(nn.functional.linear(h, self.layer.weight * mask, self.layer.bias).tanh())


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.readout = nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)

    def forward(self, h):
        return self.readout(self.lstm(h)[0][:, -1])


class Legacy(torch.autograd.Function):
    """Written before torch.func; vmap cannot take it."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        return h.pow(3)

    @staticmethod
    def backward(ctx, gradient):
        (h,) = ctx.saved_tensors
        return 3 * h.square() * gradient


MODULES = [
    (Repeated, inputs(4, 4), set()),
    (TiedConvolutions, inputs(4, 2, 5, 5), set()),
    (OutsideItsModule, inputs(4, 4), set()),
    (UnknownUse, inputs(4, 4), {"layer.weight", "layer.bias"}),
    (TiedEmbedding, TOKENS, set()),
    (SequenceFirst, inputs(4, 2, 4), {"layer.weight", "layer.bias"}),
    (SequenceFirst, inputs(5, 5, 4), {"layer.weight", "layer.bias"}),
    (MergedPositions, inputs(4, 3, 4), {"layer.weight", "layer.bias"}),
    (MergedPositions, inputs(4, 1, 4), set()),
    (InPlace, inputs(4, 4), set()),
    (Masked, inputs(4, 4), set()),
]


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize(("kind", "x", "fallback"), MODULES)
def test_module(kind, x, fallback, outputs):
    net = drawn(kind())
    rows = explain_ntk(net, x).rows
    assert {f"{r.layer}.{p}" for r in rows if r.path == "torch.func" for p in r.parameters.split(", ")} == fallback
    for second in (None, x[1:3]):
        theta = empirical_ntk(net, x, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, x, second, outputs), rtol=1e-10, atol=1e-10)


def test_wrappers_that_rewrite_the_weight():
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 2))
    net = drawn(net)
    x = inputs(3, 4)
    torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-10, atol=1e-10)
    paths = {row.layer: row.path for row in explain_ntk(net, x).rows}
    assert paths["0.parametrizations.weight"] == "pulled back" and paths["2"] == "input gram"


@pytest.mark.parametrize("margins", [(1, 2), (1, 1, 2, 0), (0, 2, 1, 1, 3, 1)])
def test_circular_padding_has_the_gradient_of_torchs_own(margins):
    h = inputs(2, 3, *(4, 5, 6)[: len(margins) // 2]).requires_grad_()
    expected = nn.functional.pad(h, margins, mode="circular")
    padded = CircularPad.apply(h, margins)
    assert torch.equal(padded, expected)
    direction = inputs(*padded.shape, seed=2)
    of_ours, of_torchs = (torch.autograd.grad(z, h, direction)[0] for z in (padded, expected))
    torch.testing.assert_close(of_ours, of_torchs, rtol=1e-14, atol=1e-14)


def test_a_function_that_vmap_cannot_take_goes_backward_one_output_at_a_time():
    layers = nn.Linear(4, 5), nn.Linear(5, 2)

    class Cubic(nn.Module):
        def __init__(self, cube) -> None:
            super().__init__()
            self.layers, self.cube = nn.ModuleList(layers), cube

        def forward(self, h):
            return self.layers[1](self.cube(self.layers[0](h)))

    ours, plain = drawn(Cubic(Legacy.apply)), Cubic(lambda h: h.pow(3))
    x = inputs(4, 4)
    torch.testing.assert_close(empirical_ntk(ours, x), naive_ntk(plain, x), rtol=1e-10, atol=1e-10)


def by_plain_autograd(net: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The full kernel from one backward pass for each output of each example."""
    parameters, features = list(net.parameters()), net(x[:1]).shape[1]
    rows = [
        torch.cat([g.flatten() for g in torch.autograd.grad(net(example.unsqueeze(0))[0, a], parameters)])
        for example in x
        for a in range(features)
    ]
    jacobian = torch.stack(rows).unflatten(0, (len(x), features))
    return torch.einsum("iap,jbp->ijab", jacobian, jacobian)


class AroundACube(UnknownUse):
    """A use that is not recorded, behind a function that `vmap` cannot take."""

    def forward(self, h):
        return super().forward(Legacy.apply(self.layer(h)))


@pytest.mark.parametrize(("kind", "x"), [(Recurrent, inputs(3, 4, 4)), (AroundACube, inputs(3, 4))])
def test_what_torch_func_cannot_take_goes_through_autograd(kind, x):
    net = drawn(kind())
    expected = by_plain_autograd(net, x)
    torch.testing.assert_close(empirical_ntk(net, x), expected, rtol=1e-10, atol=1e-10)
    trace = empirical_ntk(net, x, x[:2], outputs="trace")
    torch.testing.assert_close(trace, expected.diagonal(dim1=2, dim2=3).mean(-1)[:, :2], rtol=1e-10, atol=1e-10)
