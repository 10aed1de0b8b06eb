"""Replicas with data of their own: each the single run whose data.seed is its seed, within the memory limit."""

import weakref

import pytest
from ensemble_runs import assert_curves_agree, curves, single_curve
from torch.utils._pytree import tree_leaves

from orthontk.ensemble.data import EnsembleData
from orthontk.files import read_json
from orthontk.run.assemble import build_data

OWN = "ensemble.shared_batches=false"


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize(
    "grid", [("ensemble.seeds=[0,5]", "ensemble.inits=[gaussian,orthogonal]"), ("ensemble.seeds=[5]",)]
)
@pytest.mark.parametrize("chunk", [4, 3])
def test_each_is_a_single_run(small, plan, batched, grid, chunk):
    """Its subsets and batches are those of its seed, whichever seeds are in its chunk."""
    plan(chunk, batched)
    settings = ("trainer.precision=64-true", "callbacks=[ntk,tau]")
    together = curves(small(*settings, *grid, OWN).run_directory)
    for (seed, init, _), curve in together.items():
        if seed == 5:
            alone = small(*settings, "seed=5", "data.seed=5", f"init={init}").run_directory
            assert_curves_agree(single_curve(alone), curve, 1e-9)


@pytest.mark.parametrize("batch_size", [10, "full"])
def test_batches_are_within_the_memory_limit(small, monkeypatch, batch_size):
    held, select, limit = [], EnsembleData.select, 4_000_000

    def watched(self, batch, replicas):
        selected = select(self, batch, replicas)
        held.append(sum(tensor.nbytes for tensor in tree_leaves([batch, selected[:2]])))
        return selected

    monkeypatch.setattr(EnsembleData, "select", watched)
    settings = "data.test_size=100", "data.eval_batch_size=100", f"data.batch_size={batch_size}", "trainer.max_steps=1"
    done = small("ensemble.seeds=12", OWN, f"ensemble.memory_limit={limit}", "callbacks.ntk.steps=[]", *settings)
    assert done.code == 0, done.err
    assert read_json(done.run_directory / "ensemble.json")["chunk"] > 1
    assert limit / 4 < max(held) <= limit


def test_what_all_seeds_have_is_held_twice_at_most(small, monkeypatch):
    """Whole data sets are the same for all seeds: once they are read, and once more while the next seed's are."""
    images, alive = [], []

    def watched(config):
        module = build_data(config)
        images.append(weakref.ref(module.train.images))
        alive.append(sum(reference() is not None for reference in images))
        return module

    monkeypatch.setattr("orthontk.ensemble.run.build_data", watched)
    whole = [f"data.{split}_size={size}" for split, size in (("train", "null"), ("val", 0), ("test", "null"))]
    done = small("ensemble.seeds=4", OWN, *whole, "trainer.max_steps=1", "callbacks.ntk.steps=[]")
    assert done.code == 0, done.err
    assert alive == [1, 2, 2, 2]
