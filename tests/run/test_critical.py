"""Variances from the critical line, by the q* that a run is to have."""

import pytest
from omegaconf import OmegaConf

from orthontk.checks import InvalidValue
from orthontk.loggers import read_metrics
from orthontk.meanfield import chi_1, fixed_point
from orthontk.run.assemble import build_data


def config(run):
    return OmegaConf.load(run / "config.yaml")


def losses(run):
    return [row["train/loss"] for row in read_metrics(run / "metrics.csv") if "train/loss" in row]


@pytest.mark.parametrize("activation", ["tanh", "erf", "Softsign"])
def test_the_written_variances_are_critical_with_the_given_fixed_point(small, activation):
    run = small("model.critical=0.0259", f"model.activation={activation}", "trainer.max_steps=0").run_directory
    model, phi = config(run).model, activation
    assert model.critical == 0.0259
    assert chi_1(phi, model.weight_var, 0.0259) == pytest.approx(1, abs=1e-9)
    assert fixed_point(phi, model.weight_var, model.bias_var) == pytest.approx(0.0259, rel=1e-6)


def test_tanh_at_the_papers_setting(small):
    """σ_w² = 1.05 has q* = 0.02592 and σ_b² = 2.0105e-5."""
    model = config(small("model.critical=0.02592", "trainer.max_steps=0").run_directory).model
    assert model.weight_var == pytest.approx(1.05, rel=1e-4)
    assert model.bias_var == pytest.approx(2.0105e-5, rel=1e-3)


def test_it_trains_as_with_both_numbers_written_out(small):
    critical = small("model.critical=0.1", "data.normalize=qstar").run_directory
    model = config(critical).model
    variances = f"model.weight_var={model.weight_var!r}", f"model.bias_var={model.bias_var!r}"
    explicit = small(*variances, "data.normalize=qstar").run_directory
    assert critical.name != explicit.name
    assert losses(critical) == losses(explicit)


def test_runs_with_different_fixed_points_are_different_runs(small):
    names = {small(f"model.critical={q}", "trainer.max_steps=0").run_directory.name for q in ("null", 0.1, 0.2)}
    assert len(names) == 3


def test_qstar_is_refused_by_the_key_that_decides_the_variances():
    """relu is critical with every length as a fixed point, none of them stable."""
    for given, key in (({"critical": 0.5}, "critical=0.5"), ({"weight_var": 2.0, "bias_var": 0.0}, "weight_var=2.0")):
        model = {"activation": "relu", "weight_var": None, "bias_var": None, **given}
        config = OmegaConf.create({"model": model, "data": {"normalize": "qstar"}})
        with pytest.raises(InvalidValue, match=rf"^model\.{key}: .*stable fixed point"):
            build_data(config)
