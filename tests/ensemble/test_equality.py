"""A replica's trajectory is that of the single run with its seed, initialization and learning rate."""

import itertools

import pytest
from ensemble_runs import assert_curves_agree, curves, single_curve

EXACT = (
    "trainer.precision=64-true",
    "trainer.max_steps=50",
    "trainer.val_check_interval=25",
    "callbacks=[ntk,tau]",
    "callbacks.ntk.steps=[0,50]",
)
FAMILIES = {
    "fcn": ("model=fcn", "model.width=8"),
    "cnn": ("model=cnn", "model.width=2", "data.train_size=30", "data.val_size=0", "callbacks.ntk.probe_size=5"),
}
RATES = {"sgd": (0.02, 0.1), "momentum": (0.01, 0.05), "adam": (1e-3, 1e-2), "rmsprop": (1e-3, 3e-3)}
TOLERANCE = 1e-8


CASES = list(itertools.product(FAMILIES, ("ntk", "standard"), RATES))
QUICK = {("fcn", "standard", "momentum"), ("cnn", "ntk", "adam")}


@pytest.mark.parametrize(
    "family, parameterization, optimizer",
    [pytest.param(*case, marks=[] if case in QUICK else pytest.mark.slow) for case in CASES],
)
def test_replicas_equal_single_runs(small, family, parameterization, optimizer):
    settings = (*EXACT, *FAMILIES[family], f"model.parameterization={parameterization}", f"optimizer={optimizer}")
    low, high = RATES[optimizer]
    ensemble = small(
        *settings,
        "ensemble.seeds=[0,3]",
        "ensemble.inits=[gaussian,orthogonal]",
        f"ensemble.learning_rates=[{low},{high}]",
    )
    assert ensemble.code == 0, ensemble.err
    together = curves(ensemble.run_directory)
    assert len(together) == 8
    for seed, init, rate in [(0, "gaussian", high), (3, "orthogonal", low)]:
        alone = small(*settings, f"seed={seed}", f"init={init}", f"optimizer.lr={rate}")
        assert alone.code == 0, alone.err
        worst = assert_curves_agree(single_curve(alone.run_directory), together[seed, init, rate], TOLERANCE)
        print(f"{family} {parameterization} {optimizer} seed={seed} {init} {rate}: {worst:.1e}")


@pytest.mark.slow
def test_with_a_schedule_and_batches_of_their_own(small):
    settings = (*EXACT, *FAMILIES["fcn"], "optimizer=momentum", "schedule=cosine")
    ensemble = small(
        *settings, "ensemble.seeds=[0,3]", "ensemble.learning_rates=[0.01,0.05]", "ensemble.shared_batches=false"
    )
    assert ensemble.code == 0, ensemble.err
    together = curves(ensemble.run_directory)
    assert len(together) == 4
    for (seed, _, rate), curve in together.items():
        alone = small(*settings, f"seed={seed}", f"data.seed={seed}", f"optimizer.lr={rate}")
        assert alone.code == 0, alone.err
        assert_curves_agree(single_curve(alone.run_directory), curve, TOLERANCE)
