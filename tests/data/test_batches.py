"""A training batch is a pure function of (seed, step); evaluation sees every example once."""

from itertools import chain, islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from orthontk.checks import InvalidValue
from orthontk.data import EvaluationBatches, Split, StepBatches

sizes = st.integers(1, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def numbered(size):
    """A split whose i-th image and label are i."""
    rows = torch.arange(size)
    return Split(rows.float()[:, None], rows, rows)


def labels(batches):
    return [y.tolist() for _, y in batches]


@settings(deadline=None)
@given(sizes, st.integers(0, 2**31), st.integers(0, 40), st.integers(0, 40))
def test_resumed_equals_uninterrupted(size, seed, start, more):
    n, batch_size = size
    whole = labels(StepBatches(numbered(n), batch_size, seed, start + more))
    resumed = StepBatches(numbered(n), batch_size, seed, start + more, start_step=start)
    assert labels(resumed) == whole[start:]
    assert len(resumed) == start + more  # as Lightning counts


@given(sizes, st.integers(0, 20), st.integers(0, 20))
def test_saved_state_continues_behind_the_last_batch(size, taken, more):
    n, batch_size = size
    interrupted = StepBatches(numbered(n), batch_size, 0, taken + more)
    seen = labels(islice(iter(interrupted), taken))
    restored = StepBatches(numbered(n), batch_size, 0, taken + more)
    restored.load_state_dict(interrupted.state_dict())
    assert seen + labels(restored) == labels(StepBatches(numbered(n), batch_size, 0, taken + more))


@given(sizes, st.integers(0, 2**31))
def test_an_epoch_is_a_fresh_permutation(size, seed):
    n, batch_size = size
    steps = n // batch_size
    batches = labels(StepBatches(numbered(n), batch_size, seed, 2 * steps))
    for epoch in (batches[:steps], batches[steps:]):
        rows = list(chain(*epoch))
        assert len(set(rows)) == len(rows) == steps * batch_size
    if steps * batch_size == n:
        assert sorted(chain(*batches[:steps])) == list(range(n))


def test_epochs_and_seeds_differ():
    first = labels(StepBatches(numbered(1000), 1000, 0, 2))
    assert first[0] != first[1]
    assert first[0] != labels(StepBatches(numbered(1000), 1000, 1, 1))[0]
    assert first[0] != sorted(first[0])


def test_positions_are_uniform():
    """Over many epochs every example comes first about equally often (χ² with 9 degrees of freedom)."""
    batches = StepBatches(numbered(10), 1, 0, 20_000)
    counts = torch.stack([batches.order(epoch)[0] for epoch in range(2000)]).bincount(minlength=10).double()
    assert ((counts - 200) ** 2 / 200).sum() < 27.9  # exceeded with probability 0.001


@given(st.integers(1, 4), st.integers(1, 10), st.integers(0, 5), st.booleans())
def test_the_processes_slices_make_up_the_global_batch(world_size, per_process, dropped, full):
    batch_size = world_size * per_process
    n = batch_size if full else batch_size + dropped
    size = "full" if full else batch_size
    whole = labels(StepBatches(numbered(n), size, 5, 6))
    ranks = [labels(StepBatches(numbered(n), size, 5, 6, 0, rank, world_size)) for rank in range(world_size)]
    assert [list(chain(*parts)) for parts in zip(*ranks, strict=True)] == whole


@given(sizes, st.integers(0, 100))
def test_images_labels_and_rows_belong_together(size, step):
    n, batch_size = size
    batches = StepBatches(numbered(n), batch_size, 1, 101)
    x, y = batches.batch(step)
    assert torch.equal(x[:, 0].long(), y)
    assert torch.equal(batches.rows(step), y)


def test_full_batch_is_the_split_itself_without_a_copy():
    split = numbered(7)
    for x, y in StepBatches(split, "full", 0, 3):
        assert x.data_ptr() == split.images.data_ptr()
        assert torch.equal(y, split.labels)
    assert torch.equal(StepBatches(split, "full", 0, 3).rows(2), split.labels)


@given(st.integers(1, 60), st.integers(1, 25), st.integers(1, 6))
def test_evaluation_sees_every_example_once(n, batch_size, world_size):
    if n < world_size:
        with pytest.raises(InvalidValue, match=r"world_size"):
            EvaluationBatches(numbered(n), batch_size, 0, world_size)
        return
    ranks = [EvaluationBatches(numbered(n), batch_size, rank, world_size) for rank in range(world_size)]
    assert [row for rank in ranks for y in labels(rank) for row in y] == list(range(n))
    assert len({len(rank) for rank in ranks}) == 1
    for rank in ranks:
        assert len(rank) == len(list(rank))
        assert all(1 <= len(y) <= batch_size + (n % world_size > 0) for y in labels(rank))


@pytest.mark.parametrize(
    ("refused", "neighbour"),
    [
        ({"batch_size": 11}, {"batch_size": 10}),
        ({"batch_size": 9, "world_size": 2}, {"batch_size": 8, "world_size": 2}),
        ({"batch_size": "full", "world_size": 3}, {"batch_size": "full", "world_size": 2}),
    ],
)
def test_refused_batch_sizes(refused, neighbour):
    with pytest.raises(InvalidValue, match=r"^batch_size="):
        StepBatches(numbered(10), seed=0, max_steps=1, **refused)
    ((x, _),) = StepBatches(numbered(10), seed=0, max_steps=1, **neighbour)
    assert len(x) > 0
