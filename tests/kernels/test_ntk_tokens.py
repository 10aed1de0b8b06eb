"""Parameters that are laid out for every example, as a class token is."""

import pytest
import torch
from naive_ntk import naive_ntk
from torch import Tensor, nn

from orthontk.kernels import NTKOperator, empirical_ntk, explain_ntk
from orthontk.kernels.measures import flatten_outputs
from orthontk.kernels.shares import TORCH_FUNC

LAYOUTS = {
    "expand": ((1, 1, 4), lambda token, h: token.expand(len(h), -1, -1)),
    "expand a vector": ((4,), lambda token, h: token.expand(len(h), 1, 4)),
    "expand over positions": ((1, 1, 4), lambda token, h: token.expand(len(h), 2, 4)),
    "expand a multiple": ((1, 1, 4), lambda token, h: (0.5 * token).expand((len(h), -1, -1))),
    "expand_as": ((1, 1, 4), lambda token, h: token.expand_as(h[:, :1])),
    "broadcast_to": ((4,), lambda token, h: torch.broadcast_to(token, (len(h), 1, 4))),
    "repeat": ((1, 2, 4), lambda token, h: token.repeat(len(h), 1, 1)),
    "written to": ((1, 1, 4), lambda token, h: token.expand(len(h), -1, -1).clone().mul_(2.0)),
}
OTHERS = {  # in which no operation knows the token
    "several in turn": ((1, 2, 4), lambda token, h: token.repeat(len(h), 2, 1)),
    "transposed": ((4, 1), lambda token, h: token.mT.expand(len(h), 1, 4)),
    "before the examples": ((1, 4), lambda token, h: token.expand(7, 4) + h[:, :1]),
}


class Tokens(nn.Module):
    def __init__(self, shape: tuple[int, ...], layout):
        super().__init__()
        self.token, self.layout = nn.Parameter(torch.randn(shape)), layout
        self.embed, self.mix, self.readout = nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.embed(x)
        h = torch.cat([self.layout(self.token, h), h], dim=1)
        h = h + torch.softmax(h @ h.mT, dim=2) @ self.mix(h)
        return self.readout(torch.tanh(h[:, 0]))


@pytest.mark.parametrize("name", [*LAYOUTS, *OTHERS])
def test_a_token_of_every_example(name, seeded):
    net, x = Tokens(*(LAYOUTS | OTHERS)[name]).double(), torch.randn(7, 5, 3, dtype=torch.float64)
    paths = {row.parameters: row.path for row in explain_ntk(net, x).rows}
    assert TORCH_FUNC not in paths.values() or name in OTHERS
    for second, outputs in ((None, "full"), (x[:2], "trace"), (None, "sum_of_logits")):
        expected = naive_ntk(net, x, second, outputs)
        for limit in (None, 100_000):
            theta = empirical_ntk(net, x, second, outputs=outputs, memory_limit=limit)
            torch.testing.assert_close(theta, expected, rtol=1e-10, atol=1e-10)
    theta, vector = flatten_outputs(empirical_ntk(net, x)), torch.randn(14, dtype=torch.float64)
    torch.testing.assert_close(torch.from_numpy(NTKOperator(net, x) @ vector.numpy()), theta @ vector)
