"""The empirical NTK on a GPU: that of float64 Jacobians on the CPU, in bounded memory, and in full precision."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from orthontk.init import initialize
from orthontk.kernels import NTKOperator, empirical_ntk
from orthontk.networks import CNN, FCN

pytestmark = pytest.mark.gpu
OUTPUTS = ("full", "trace", "sum_of_logits")
SCALES = {"weight_var": 1.5, "bias_var": 0.1}


class Attention(nn.Module):
    """Self-attention on embedded tokens with learned positions, whose parameter no layer of torch's holds."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(11, 8), nn.Parameter(torch.randn(5, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.readout = nn.Linear(8, 3)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.readout(self.block(self.embedding(tokens) + self.positions).mean(1))


def convolutions(dimension: int) -> nn.Module:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimension - 1]
    return nn.Sequential(
        kind(2, 4, 3, padding=1, padding_mode="circular"),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        kind(4, 6, 3, stride=2, groups=2, padding=2, dilation=2),
        nn.Flatten(),
        nn.LazyLinear(3),
    )


NETWORKS = {
    "FCN": (lambda: FCN(7, 3, 16, 4, **SCALES), (7,)),
    "CNN": (lambda: CNN(2, 6, 3, 8, 4, **SCALES), (2, 6, 6)),
    "CNN, pool": (lambda: CNN(2, 6, 3, 8, 4, readout="pool", padding="zeros", **SCALES), (2, 6, 6)),
    "Conv1d": (lambda: convolutions(1), (2, 9)),
    "Conv2d": (lambda: convolutions(2), (2, 7, 6)),
    "Conv3d": (lambda: convolutions(3), (2, 5, 5, 6)),
    "LayerNorm": (lambda: nn.Sequential(nn.Linear(7, 9), nn.LayerNorm(9), nn.GELU(), nn.Linear(9, 3)), (7,)),
    "BatchNorm": (lambda: nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 3)).eval(), (7,)),
    "orthogonal": (lambda: nn.Sequential(parametrizations.orthogonal(nn.Linear(7, 7)), nn.Linear(7, 3)), (7,)),
    "MaxPool": (lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(3)), (2, 8, 8)),
    "PReLU": (lambda: nn.Sequential(nn.Linear(7, 9), nn.PReLU(9), nn.Linear(9, 3)), (7,)),
    "LSTM": (lambda: Last(nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)).eval(), (5, 4)),
}


class Last(nn.Module):
    """A readout of the last state of a recurrent network, which falls back to `torch.func`."""

    def __init__(self, recurrent: nn.Module, readout: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.readout = recurrent, readout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.recurrent(x)[0][:, -1])


def made(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    make, shape = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make().double()
        net(torch.randn(2, *shape, dtype=torch.float64))  # lazy layers take their sizes
    return net, shape


def inputs(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_the_cpu(name, outputs):
    net, shape = made(name)
    x1, x2 = inputs(5, *shape), inputs(4, *shape, seed=2)
    for second in (None, x2):
        on_cpu = empirical_ntk(net, x1, second, outputs=outputs)
        on_gpu = copy.deepcopy(net).cuda()
        theta = empirical_ntk(on_gpu, x1.cuda(), None if second is None else second.cuda(), outputs=outputs)
        assert theta.is_cuda
        torch.testing.assert_close(theta.cpu(), on_cpu, rtol=1e-9, atol=1e-9)
        single = empirical_ntk(on_gpu.float(), x1.cuda(), None if second is None else second.cuda(), outputs=outputs)
        assert (single.cpu() - on_cpu).norm() < 3e-6 * on_cpu.norm()  # TF32 would be at 3e-4


def test_the_same_bits_again():
    net = initialize(CNN(3, 16, 10, 32, 4, **SCALES), "gaussian", torch.Generator().manual_seed(0)).cuda()
    x = inputs(40, 3, 16, 16).float().cuda()
    assert torch.equal(empirical_ntk(net, x), empirical_ntk(net, x))


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_tokens(outputs):
    torch.manual_seed(0)
    net, tokens = Attention().double().eval(), torch.randint(11, (4, 5))
    expected = empirical_ntk(net, tokens, outputs=outputs)
    theta = empirical_ntk(net.cuda(), tokens.cuda(), outputs=outputs)
    torch.testing.assert_close(theta.cpu(), expected, rtol=1e-9, atol=1e-9)


def test_what_the_process_has_set_is_left_out_and_restored():
    """With TF32 and autocast on, the same bits as without, and both still on afterwards."""
    net = initialize(FCN(50, 10, 64, 4, **SCALES), "orthogonal", torch.Generator().manual_seed(0)).cuda()
    x = inputs(30, 50).float().cuda()
    expected = empirical_ntk(net, x)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cuda"):
            theta = empirical_ntk(net, x)
            assert torch.is_autocast_enabled("cuda")
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert torch.equal(theta, expected)


@pytest.mark.parametrize("name, limit", [("fcn", 2**28), ("cnn", 2**28), ("cnn", 2**29)])
def test_memory_is_bounded(name, limit):
    """By the limit, a fifth of it, and the result."""
    if name == "fcn":
        net, x = FCN(784, 10, 1500, 5, **SCALES), inputs(600, 784)
    else:
        net, x = CNN(3, 16, 10, 64, 4, **SCALES), inputs(200, 3, 16, 16)
    net, x = initialize(net, "gaussian", torch.Generator().manual_seed(0)).cuda(), x.float().cuda()
    empirical_ntk(net, x[:2])  # what libraries allocate once
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    theta = empirical_ntk(net, x, memory_limit=limit)
    used = torch.cuda.max_memory_allocated() - before
    assert used <= 1.2 * limit + theta.nbytes, f"{used / limit:.2f} times the limit, result {theta.nbytes / limit:.2f}"


def test_out_and_operator(tmp_path):
    net = initialize(FCN(7, 3, 16, 4, **SCALES), "orthogonal", torch.Generator().manual_seed(0)).double().cuda()
    x = inputs(12, 7).cuda()
    theta = empirical_ntk(net, x).cpu()
    written = empirical_ntk(net, x, out=tmp_path / "ntk.npy", memory_limit=2**15)
    torch.testing.assert_close(written, theta, rtol=1e-12, atol=1e-12)
    matrix = theta.permute(0, 2, 1, 3).reshape(36, 36)
    operator, vector = NTKOperator(net, x), inputs(36)
    torch.testing.assert_close(torch.from_numpy(operator.matvec(vector.numpy())), matrix @ vector, rtol=1e-9, atol=1e-9)
