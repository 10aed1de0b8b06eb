"""The grid of an ensemble, how it is cut into chunks, and that what is measured stays within a memory limit."""

import gc
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from orthontk.checks import InvalidValue
from orthontk.ensemble import measure
from orthontk.ensemble.drawing import Drawing
from orthontk.ensemble.measure import SHARE, Work, kinds, measured, rounds_of
from orthontk.ensemble.optimizer import distinct
from orthontk.ensemble.plan import CLEARLY, Plan, bytes_of_replica, make_plan, room_for_networks
from orthontk.ensemble.replicas import grid
from orthontk.files import read_json
from orthontk.networks import FCN


@given(st.integers(1, 50), st.integers(1, 60))
def test_chunks_are_the_grid_in_order_and_of_nearly_equal_sizes(chunk, replicas):
    chunks = Plan(chunk, True, {}).chunks(range(replicas))
    assert [number for part in chunks for number in part] == list(range(replicas))
    sizes = {len(part) for part in chunks}
    assert max(sizes) <= chunk and max(sizes) - min(sizes) <= 1


def config(**ensemble):
    axes = {"seeds": None, "inits": None, "learning_rates": None, **ensemble}
    return OmegaConf.create({"seed": 7, "init": {"scheme": "gaussian"}, "optimizer": {"lr": 0.1}, "ensemble": axes})


def test_grid_holds_every_combination_ordered_by_learning_rate():
    replicas = grid(config(seeds=2, inits=["gaussian", "orthogonal"], learning_rates=[1, 0.5]))
    assert [replica.number for replica in replicas] == list(range(8))
    assert distinct([replica.learning_rate for replica in replicas]) == [0.5, 1.0]
    assert len({replica.name for replica in replicas}) == len({replica[1:] for replica in replicas}) == 8


def test_axes_that_are_null_have_the_single_runs_value():
    assert [replica[1:] for replica in grid(config(seeds=2))] == [(7, "gaussian", 0.1), (8, "gaussian", 0.1)]
    assert [replica.seed for replica in grid(config(seeds=[3, 1]))] == [3, 1]
    with pytest.raises(InvalidValue, match=r"ensemble\.seeds"):
        grid(config(seeds=True))


@pytest.fixture
def work():
    template = FCN(30, 10, width=20, depth=3)
    x, y = torch.randn(16, 30), torch.randint(10, (16,))
    return Work(template, lambda p: torch.optim.Adam(p, lr=0.1), torch.nn.CrossEntropyLoss(), x, y, 100)


def settings(chunk=None, memory_limit=None):
    return OmegaConf.create({"chunk": chunk, "memory_limit": memory_limit})


def test_a_plan_fits_the_memory_and_the_processes(work, tmp_path):
    each = bytes_of_replica(work)
    plan = make_plan(tmp_path, work, 40, 1000, 1, settings(memory_limit=5 * each))
    assert 1 <= plan.chunk <= 5
    (tmp_path / "other").mkdir()
    assert make_plan(tmp_path / "other", work, 8, 1000, 4, settings()).chunk <= 2
    with pytest.raises(InvalidValue, match="memory_limit"):
        (tmp_path / "third").mkdir()
        make_plan(tmp_path / "third", work, 40, 1000, 1, settings(memory_limit=each - 1))


def test_a_plan_is_the_fastest_of_what_was_measured_and_is_kept(work, tmp_path):
    plan = make_plan(tmp_path, work, 12, 1000, 1, settings())
    chosen = plan.milliseconds[f"{'batched' if plan.batched else 'separate'} {plan.chunk}"]
    assert chosen <= CLEARLY * min(plan.milliseconds.values())
    written = read_json(tmp_path / "ensemble.json")
    assert make_plan(tmp_path, work, 12, 1000, 1, settings(chunk=1)) == Plan(**written) == plan


def test_a_size_that_is_given_leaves_nothing_to_the_clock(tmp_path):
    template, x, y = FCN(30, 10, width=20, depth=3), torch.randn(16, 30), torch.randint(10, (16,))
    work = Work(template, lambda p: pytest.fail("measured"), torch.nn.CrossEntropyLoss(), x, y, 100)
    assert make_plan(tmp_path, work, 12, 10**6, 1, settings(chunk=5)) == Plan(5, True, {})


@given(st.integers(1, 2000), st.integers(1, 10**7))
def test_measuring_takes_a_small_share_of_the_steps(most, replica_steps):
    choice = kinds(most)
    assert max(size for _, size in choice) == most
    tried = sum(size if batched else min(size, 4) for batched, size in choice)
    assert rounds_of(choice, replica_steps) * tried <= SHARE * replica_steps


@pytest.mark.parametrize("width, batch, chunk", [(20, 16, 12), (200, 2000, 2), (900, 2000, None)])
def test_short_trainings_are_cut_by_what_fits_a_cache_and_measure_nothing(width, batch, chunk, tmp_path):
    template, x, y = FCN(30, 10, width=width, depth=3), torch.randn(batch, 30), torch.randint(10, (batch,))
    work = Work(template, lambda p: pytest.fail("measured"), torch.nn.CrossEntropyLoss(), x, y, 100)
    plan = make_plan(tmp_path, work, 12, 50, 1, settings())
    assert plan == Plan(12 if chunk is None else chunk, chunk is not None, {})


def test_memory_counts_what_a_replica_holds(work):
    parameters = sum(value.numel() for value in work.template.parameters())
    assert bytes_of_replica(work) >= 4 * 6 * parameters


class Written(nn.Module):
    """Layers written out: no module of its own is called."""

    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList([torch.zeros(5, 30), torch.zeros(10, 5)])

    def forward(self, x):
        return x @ self.weights[0].T @ self.weights[1].T


class Recurrent(nn.Module):
    """A layer that returns what it has after each of three steps, and again after the last."""

    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(10, 4, batch_first=True)

    def forward(self, x):
        return self.layer(x.unflatten(1, (3, 10)))[0].flatten(1)


@pytest.mark.parametrize("template, activations", [(Written(), [10]), (Recurrent(), [12 + 4, 12])])
def test_activations_of_any_network_are_counted(work, template, activations):
    assert replace(work, template=template).activations == activations


def bytes_of_tensors():
    """Of all that are alive, each storage once."""
    tensors = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.Tensor)]
    storages = [tensor.untyped_storage() for tensor in tensors if tensor.device.type == "cpu"]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


@pytest.mark.slow
def test_what_is_measured_is_within_the_limit(work, monkeypatch):
    """After each step: parameters, gradients, Adam's averages, and no stack of another kind."""
    template = FCN(30, 10, width=128, depth=4)
    big = Work(template, work.optimizer, work.loss, work.x, work.y, 10)
    before, peaks, timed = bytes_of_tensors(), [], measure._timed

    def watched(*step):
        seconds = timed(*step)
        peaks.append(bytes_of_tensors() - before)
        return seconds

    monkeypatch.setattr(measure, "_timed", watched)
    assert set(measured(big, kinds(16), 7)) == set(kinds(16))
    assert 0.4 * 16 * bytes_of_replica(big) < max(peaks) <= 16 * bytes_of_replica(big)


@pytest.mark.parametrize("rates, extra, kept", [([0.1], 10**9, 0), ([0.1, 0.2], 10**9, 3), ([0.1, 0.2], 14_000, 2)])
def test_networks_are_kept_for_other_rates_beside_the_chunk(work, rates, extra, kept):
    """A network of 30 → 20 → 20 → 10 has 1250 parameters, 5000 bytes: two fit into 14 kB."""
    replicas, plan = grid(config(seeds=3, learning_rates=rates)), Plan(2, True, {})
    drawn = []
    room = room_for_networks(work, replicas, plan, 2 * bytes_of_replica(work) + extra)
    draw = Drawing(lambda replica: drawn.append(replica) or FCN(30, 10, width=20, depth=3), room)
    for replica in replicas:
        draw(replica)
    assert len(draw.kept) == kept
    assert len(drawn) == len(replicas) - kept * (len(rates) - 1)
