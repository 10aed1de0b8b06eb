"""Complex parameters, as of neural operators: a parameter's real and imaginary parts are two of a real network."""

import pytest
import torch
from naive_ntk import naive_ntk
from torch import nn

from orthontk.kernels import NTKOperator, empirical_ntk, ntk_and_layer_shares
from orthontk.kernels.outputs import outputs_of

pytestmark = pytest.mark.usefixtures("seeded")


class FourierLayer(nn.Module):
    """Products with complex weights of the lowest frequencies, and a complex shift (Li et al. 2021, Fig. 2)."""

    def __init__(self, channels: int, frequencies: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, channels, frequencies, dtype=torch.complex128) / channels)
        self.register_buffer("shift", torch.randn(frequencies, dtype=torch.complex128))

    def forward(self, h):
        kept = torch.fft.rfft(h)[..., : self.weight.shape[2]] + self.shift
        return torch.fft.irfft(torch.einsum("bif,iof->bof", kept, self.weight), n=h.shape[2])


class RealTwin(FourierLayer):
    """The same function of real parameters."""

    def __init__(self, layer: FourierLayer):
        nn.Module.__init__(self)
        self.parts = nn.Parameter(torch.view_as_real(layer.weight.detach()).clone())
        self.register_buffer("shift", layer.shift)

    @property
    def weight(self):
        return torch.view_as_complex(self.parts)


def operator_with(layer: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(layer, nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)).double()


@pytest.fixture
def network():
    return operator_with(FourierLayer(3, 4))


@pytest.fixture
def expected(network):
    return lambda x1, x2: naive_ntk(operator_with(RealTwin(network[0])), x1, x2)


@pytest.mark.parametrize("limit", [None, 100_000])
def test_kernel_is_that_of_real_and_imaginary_parts(network, expected, limit):
    x1, x2 = torch.randn(4, 3, 8), torch.randn(3, 3, 8)
    torch.testing.assert_close(empirical_ntk(network, x1, x2, memory_limit=limit), expected(x1.double(), x2.double()))


def test_other_precision_is_that_of_complex_numbers_too(network, expected):
    x = torch.randn(4, 3, 8)
    single = empirical_ntk(network, x, dtype=torch.float32)
    torch.testing.assert_close(single, expected(x.double(), x.double()).float(), atol=1e-4, rtol=1e-4)
    assert network[0].weight.dtype == torch.complex128


def test_a_parameter_that_is_a_conjugate(network, expected):
    network[0].weight = nn.Parameter(network[0].weight.detach().conj())
    x = torch.randn(3, 3, 8).double()
    network[0].register_buffer("shift", network[0].shift.conj())
    twin = operator_with(FourierLayer(3, 4))
    twin.load_state_dict(network.state_dict())
    torch.testing.assert_close(empirical_ntk(network, x), empirical_ntk(twin, x))


def test_operator_shares_and_outputs(network, expected):
    x = torch.randn(4, 3, 8).double()
    theta = expected(x, x)
    vector = torch.randn(12).double()
    flat = theta.transpose(1, 2).reshape(12, 12)
    torch.testing.assert_close(torch.from_numpy(NTKOperator(network, x) @ vector.numpy()), flat @ vector)
    assert sum(ntk_and_layer_shares(network, x)[1].values()) == pytest.approx(1)
    torch.testing.assert_close(outputs_of(network, x), network(x).detach())
