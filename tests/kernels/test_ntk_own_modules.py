"""Modules of one's own: layers called again, tied, or used outside their module, and what is left to PyTorch."""

import pytest
import torch
from drawn import TOKENS, drawn, inputs
from naive_ntk import naive_ntk
from torch import nn

from orthontk.kernels import empirical_ntk, explain_ntk
from orthontk.kernels.problem import OUTPUTS


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
        merged = torch.tanh(self.layer(h.flatten(0, 1)))
        merged = nn.functional.relu(self.layer(merged), inplace=True)
        return self.readout(torch.tanh(self.layer(merged)).unflatten(0, h.shape[:2]).sum(1))


class MergedBehindPositions(SequenceFirst):
    """As before, but the axis is that of positions first."""

    def forward(self, h):
        merged = h.transpose(0, 1).flatten(0, 1)
        return self.readout(torch.tanh(self.layer(merged)).unflatten(0, (h.shape[1], -1)).sum(0))


class MergedAndDoubled(SequenceFirst):
    """Written to between merging and the product."""

    def forward(self, h):
        merged = (h @ self.layer.weight).flatten(0, 1).mul_(2.0)
        return self.readout(torch.tanh(self.layer(merged)).unflatten(0, h.shape[:2]).sum(1))


class OfGPT2(nn.Module):
    """The dense layer of Hugging Face's GPT-2, whose weight is (n_in, n_out), on positions of images."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(4, 5)), nn.Parameter(torch.zeros(5))
        self.readout = nn.Linear(5, 2)

    def forward(self, h):  # (N, H, W, 4)
        z = torch.addmm(self.bias, h.view(-1, h.size(-1)), self.weight).view(*h.shape[:-1], 5)
        return self.readout(torch.tanh(z).mean((1, 2)))


class InPlace(OutsideItsModule):
    def forward(self, h):
        return self.readout(nn.functional.relu(self.layer(h).mul_(2.0), inplace=True))


class OtherProducts(OutsideItsModule):
    def forward(self, h):  # (N, T, 4)
        weight = self.layer.weight
        h = torch.einsum("nti, ij -> ntj", h, weight).tanh() + torch.einsum("...i,oi->...o", h, weight).tanh()
        h = torch.tensordot(torch.inner(h, weight).tanh(), 0.5 * weight.T, dims=1).tanh()
        return self.readout(torch.einsum("nti,oi->nto", h, weight).tanh() + self.layer.bias).flatten(1)


class OtherEquations(OutsideItsModule):
    """Sums and products that are no dense layer of examples."""

    def forward(self, h):
        weight = self.layer.weight
        h = torch.einsum("ni,ij->jn", h, weight).T.tanh() + torch.einsum("ni,ij->ni", h, weight).tanh()
        return self.readout((h + torch.einsum("ni,ij->nj", h[:, :1], weight)).tanh())


class OtherAffine(OutsideItsModule):
    """Shifts and scales in other spellings than h * a + b, and a view that is written to."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.scale = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.ones(1, 4))

    def forward(self, h):
        h = torch.tanh(self.shift - torch.sub(self.layer(h), 2 * self.shift, alpha=3) - self.scale)
        h = torch.add(self.shift, h, alpha=2).sub(self.shift).sin()
        for _ in range(2):
            h *= self.scale
            h -= self.shift
            h = torch.add(h.sin(), self.scale, alpha=0.5)
        h[:, 1:3].mul_(self.scale[0, 0]).add_(0.3)
        h.view(-1, 1, 4).add_(self.shift, alpha=2)
        return self.readout(h.sub_(self.shift).cos())


class WrittenToFirst(OutsideItsModule):
    """The input itself is written to, and read after."""

    def forward(self, h):
        h.mul_(self.layer.bias)
        h += self.layer.bias
        return self.readout(torch.tanh(h))


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
    (MergedPositions, inputs(4, 3, 4), set()),
    (MergedPositions, inputs(4, 1, 4), set()),
    (MergedBehindPositions, inputs(4, 2, 4), {"layer.weight", "layer.bias"}),
    (MergedBehindPositions, inputs(5, 5, 4), {"layer.weight", "layer.bias"}),
    (MergedAndDoubled, inputs(4, 3, 4), {"layer.weight", "layer.bias"}),
    (OfGPT2, inputs(4, 3, 2, 4), set()),
    (InPlace, inputs(4, 4), set()),
    (OtherProducts, inputs(4, 3, 4), set()),
    (OtherEquations, inputs(4, 4), {"layer.weight"}),
    (OtherAffine, inputs(4, 4), set()),
    (WrittenToFirst, inputs(4, 4), set()),
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


class AroundACube(UnknownUse):
    """A use that is not recorded, behind a function that `vmap` cannot take."""

    def forward(self, h):
        return super().forward(Legacy.apply(self.layer(h)))


@pytest.mark.parametrize(("kind", "x"), [(Recurrent, inputs(3, 4, 4)), (AroundACube, inputs(3, 4))])
def test_what_torch_func_cannot_take_goes_through_autograd(kind, x):
    net = drawn(kind())
    for second, outputs in ((None, "full"), (x[:2], "trace")):
        theta = empirical_ntk(net, x, second, outputs=outputs)
        torch.testing.assert_close(theta, naive_ntk(net, x, second, outputs), rtol=1e-10, atol=1e-10)


class GraphConvolution(nn.Module):
    """Features of nodes, averaged over neighbours in a sparse graph that is computed from a buffer in every pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.readout = nn.Linear(6, 6), nn.Linear(6, 2)
        self.register_buffer("graph", inputs(6, 6).round().to_sparse())

    def forward(self, x):
        return self.readout(torch.tanh(torch.sparse.mm((2 * self.graph).coalesce(), self.layer(x).T).T))


@pytest.mark.parametrize("limit", [None, 20_000])
def test_a_sparse_buffer(limit):
    net, x = drawn(GraphConvolution()), inputs(5, 6)
    torch.testing.assert_close(empirical_ntk(net, x, memory_limit=limit), naive_ntk(net, x))
