"""Two gloo processes share the tiles of one kernel."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from orthontk.checks import InvalidValue
from orthontk.init import initialize
from orthontk.kernels import empirical, empirical_ntk
from orthontk.networks import FCN


def network() -> FCN:
    net = FCN(6, 3, width=8, depth=3, weight_var=1.5, bias_var=0.1).double()
    return initialize(net, "gaussian", torch.Generator().manual_seed(0))


class ChosenByExample(nn.Module):
    """Another layer where a batch holds an example that begins with a large number."""

    def __init__(self) -> None:
        super().__init__()
        self.usual, self.other = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        large = x[:, :1] > 50
        return torch.where(large, self.other(x), self.usual(x)) if large.any() else self.usual(x)


def chosen_by_example() -> tuple[nn.Module, torch.Tensor]:
    """A network and inputs of which only the last block, which one rank alone sees, is unlike the others."""
    torch.manual_seed(0)
    net, x = ChosenByExample().double(), inputs(20, 3)
    x[-1, 0] = 100
    return net, x


def inputs(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def refused(net: nn.Module, x: Tensor, **options) -> bool:
    try:
        empirical_ntk(net, x, **options)
    except InvalidValue:
        return True
    return False


def _worker(rank: int, folder) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    computed, tile = [], empirical._compute_tile
    empirical._compute_tile = lambda *a: (computed.append(a[2:4]), tile(*a))
    net, x1, x2 = network(), inputs(20, 1), inputs(9, 2)
    results = {
        "symmetric": empirical_ntk(net, x1),
        "trace": empirical_ntk(net, x1, outputs="trace"),
        "rectangular": empirical_ntk(net, x1, x2),
        "disk": empirical_ntk(net, x1, out=folder / "theta.npy").clone(),
        "chosen by example": empirical_ntk(*chosen_by_example()),
        "tiles": len(computed),
        "other inputs on each rank": refused(net, x1 + rank),
        "a file for each rank, so that none would be whole": refused(net, x1, out=folder / f"theta-{rank}.npy"),
        "a file of another kernel": refused(net, x2, out=folder / "theta.npy"),
    }
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()
    os._exit(0)  # the interpreter's own end can meet gloo's threads and abort (pytorch issue 190489)


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> list[dict[str, torch.Tensor | int | bool]]:
    folder = tmp_path_factory.mktemp("ranks")
    mp.spawn(_worker, (folder,), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_has_the_kernel_of_a_single_process(results, rank):
    net, x1, x2 = network(), inputs(20, 1), inputs(9, 2)
    expected = {
        "symmetric": empirical_ntk(net, x1),
        "trace": empirical_ntk(net, x1, outputs="trace"),
        "rectangular": empirical_ntk(net, x1, x2),
        "disk": empirical_ntk(net, x1),
        "chosen by example": empirical_ntk(*chosen_by_example()),
    }
    for name, theta in expected.items():
        torch.testing.assert_close(results[rank][name], theta, rtol=1e-12, atol=1e-12)


def test_both_ranks_took_part(results):
    assert all(result["tiles"] >= 4 for result in results)


@pytest.mark.parametrize(
    "given",
    ["other inputs on each rank", "a file for each rank, so that none would be whole", "a file of another kernel"],
)
def test_refused_on_every_rank(results, given):
    assert all(result[given] for result in results)
