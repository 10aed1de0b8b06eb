"""Multi-head attention, by itself and in an encoder."""

import pytest
import torch
from drawn import drawn, inputs
from naive_ntk import naive_ntk
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.kernels import empirical_ntk, explain_ntk

FEATURES, POSITIONS = 4, 3
CAUSAL = nn.Transformer.generate_square_subsequent_mask(POSITIONS, dtype=torch.float64)
ATTENTION = {f"attention.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")}


class Attention(nn.Module):
    def __init__(self, other: bool = False, sequence_first: bool = False, weights: bool = False, **options) -> None:
        super().__init__()
        arguments = {name: options.pop(name) for name in ("bias", "add_bias_kv", "add_zero_attn") if name in options}
        self.attention = nn.MultiheadAttention(FEATURES, 2, batch_first=not sequence_first, **arguments)
        self.readout = nn.Linear(FEATURES, 2)
        self.other, self.sequence_first, self.weights, self.options = other, sequence_first, weights, options

    def forward(self, h):
        h = h.transpose(0, 1) if self.sequence_first else h
        keys = h.flip(2) if self.other else h
        mixed, weights = self.attention(h, keys, keys, **self.options)
        mixed = mixed.transpose(0, 1) if self.sequence_first else mixed
        outputs = self.readout(mixed.mean(1))
        return outputs + weights.flatten(1)[:, :2] if self.weights else outputs


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(FEATURES, 2, 5, dropout=0.1, batch_first=True)
        self.readout = nn.Linear(FEATURES, 2)

    def forward(self, h):
        return self.readout(self.layer(h, src_mask=CAUSAL.to(h), is_causal=True)[:, -1])


NETWORKS = {
    "attention": (Attention(), set()),
    "attention without weights": (Attention(need_weights=False), set()),
    "attention whose weights are used": (Attention(weights=True), set()),
    "attention with every head's weights": (Attention(weights=True, average_attn_weights=False), set()),
    "attention without biases": (Attention(bias=False), set()),
    "causal attention": (Attention(attn_mask=CAUSAL, is_causal=True, need_weights=False), set()),
    "causal attention with weights": (Attention(attn_mask=CAUSAL, weights=True), set()),
    "positions first": (Attention(sequence_first=True), set()),
    "attention to something else": (Attention(other=True), ATTENTION),
    "attention to zeros as well": (Attention(add_zero_attn=True), ATTENTION),
    "attention to biases as well": (Attention(add_bias_kv=True), {*ATTENTION, "attention.bias_k", "attention.bias_v"}),
    "encoder": (Encoder(), set()),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_kernel_and_paths(name):
    net, fallback = drawn(NETWORKS[name][0]), NETWORKS[name][1]
    x1, x2 = inputs(4, POSITIONS, FEATURES), inputs(POSITIONS, POSITIONS, FEATURES, seed=2)
    rows = explain_ntk(net, x1).rows
    assert {f"{r.layer}.{p}" for r in rows if r.path == "torch.func" for p in r.parameters.split(", ")} == fallback
    for second in (None, x2):
        theta = empirical_ntk(net, x1, second)
        torch.testing.assert_close(theta, naive_ntk(net, x1, second), rtol=1e-10, atol=1e-10)


class Frozen(nn.Module):
    """Without gradients PyTorch takes an encoder with padding another way, which leaves zeros at what is padded."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(FEATURES, 2, 5, batch_first=True)
        self.encoder, self.readout = nn.TransformerEncoder(layer, 2).requires_grad_(False), nn.Linear(FEATURES, 2)

    def forward(self, h):
        padding = torch.arange(POSITIONS).expand(len(h), -1) >= 2
        return self.readout(self.encoder(h, src_key_padding_mask=padding).mean(1))


def test_an_encoder_that_computes_otherwise_without_gradients_is_refused():
    net, x = drawn(Frozen()), inputs(4, POSITIONS, FEATURES)
    with pytest.raises(InvalidValue, match="set_fastpath_enabled"):
        empirical_ntk(net, x)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        torch.testing.assert_close(empirical_ntk(net, x), naive_ntk(net, x), rtol=1e-10, atol=1e-10)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
