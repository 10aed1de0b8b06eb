"""A study is given each replica of an ensemble as the run that it would be alone."""

import pytest

from orthontk.identity import run_identity
from orthontk.report.gather import gather
from orthontk.report.trainings import trainings_of
from orthontk.report.write import report

SETTINGS = "callbacks=ntk", "logger=csv", "data.normalize=standardize", "scale=quick", "model.width=8"


def test_a_replica_has_the_settings_and_rows_of_the_single_run(small, tmp_path):
    small(*SETTINGS, "name=ensemble", "seed=3", "ensemble.seeds=2", "ensemble.inits=[gaussian,orthogonal]",
          "ensemble.learning_rates=[0.1,0.2]", "ensemble.shared_batches=false")  # fmt: skip
    found = trainings_of(gather(tmp_path / "outputs" / "ensemble").runs)
    assert len(found) == len({training.directory for training in found}) == 8
    of = {
        (training.get("seed"), training.get("init.scheme"), training.get("optimizer.lr")): training
        for training in found
    }
    replica = of[4, "orthogonal", 0.2]
    small(*SETTINGS, "name=single", "seed=4", "data.seed=4", "init=orthogonal", "optimizer.lr=0.2")
    (single,) = trainings_of(gather(tmp_path / "outputs" / "single").runs)
    assert run_identity(replica.config) == run_identity(single.config)
    assert replica.settings() == single.settings() and replica.diverged is single.diverged is False
    for metric in ("ntk/change", "train/loss", "test/accuracy"):
        assert replica.at_end(metric) == pytest.approx(single.at_end(metric), rel=1e-4)
    assert (replica.directory / "ntk.safetensors").exists()


@pytest.mark.slow
def test_the_claims_of_an_ensemble_are_those_of_its_single_runs(train, tmp_path):
    preset = "-m", "experiment=dynamical_isometry", "hydra.sweeper.grids=null", "trainer.max_steps=2", "model.width=16"
    train(*preset, "model.depth=5", "seed=range(5)", "init=gaussian,orthogonal", "name=single")
    train(*preset, "model.depth=5", "ensemble.seeds=5", "ensemble.inits=[gaussian,orthogonal]", "name=ensemble")
    single, ensemble = (
        [(c.claim, c.where, c.interval.seeds, c.verdict, c.interval.estimate) for c in study.claims]
        for name in ("single", "ensemble")
        for study in report(tmp_path / "outputs" / name, tmp_path / name).judged
    )
    assert len(single) == 4 and [claim[:-1] for claim in ensemble] == [claim[:-1] for claim in single]
    assert [claim[-1] for claim in ensemble] == pytest.approx([claim[-1] for claim in single], rel=1e-3)
