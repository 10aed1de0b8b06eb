"""Draws of kernels, made up so that their variances are known."""

import numpy as np
import pandas as pd
import pytest

from orthontk.report.claims import SUPPORTED
from orthontk.studies import DepthFluctuation


@pytest.fixture
def study() -> DepthFluctuation:
    return DepthFluctuation(gaussian_above=0.1, orthogonal_below=0.03)


def draws(depth: int, width: int, scale: float = 1.0, init: str = "gaussian") -> pd.DataFrame:
    """Of a variance that grows with depth/width, around a mean of `scale`."""
    generator = np.random.default_rng([depth, width])
    theta = scale * np.exp(generator.normal(size=60) * (depth / width) ** 0.5)
    settings = {"family": "FCN", "activation": "tanh", "init": init, "depth": depth, "width": width}
    return pd.DataFrame([settings | {"depth_over_width": depth / width, "theta": value} for value in theta])


def test_networks_of_one_ratio_are_not_pooled(study):
    """Their kernels differ in size, which is no fluctuation."""
    claims = study.claims(pd.concat([draws(8, 16, init="orthogonal"), draws(16, 32, 100.0, init="orthogonal")]))
    assert [claim.where for claim in claims] == [f"FCN tanh orthogonal L={2 * k} n={4 * k}" for k in (4, 8)]
    assert all(claim.interval.seeds == 60 and claim.interval.estimate < 1.5 for claim in claims)


@pytest.mark.parametrize("shallow", [(2, 32), (16, 256)])
def test_fluctuations_grow_along_either_axis(study, shallow):
    claims = study.claims(pd.concat([draws(16, 32), draws(*shallow)]))
    (growth,) = [claim for claim in claims if "grow" in claim.claim]
    assert growth.where == "FCN tanh gaussian L=16 n=32 against L={} n={}".format(*shallow)
    assert growth.verdict == SUPPORTED


def test_one_ratio_shows_no_growth(study):
    claims = study.claims(pd.concat([draws(8, 16), draws(16, 32)]))
    assert len(claims) == 2 and not any("grow" in claim.claim for claim in claims)


@pytest.mark.parametrize(
    ("activation", "claimed"),
    [
        ("tanh", ["hardly"]),
        ("Erf", ["hardly"]),
        ("relu", ["control"]),
        ("LeakyReLU", ["control"]),
        ("gelu", []),
        (None, []),
    ],
)
def test_orthogonal_weights_hardly_fluctuate_with_tanh_and_are_a_control_with_relu(study, activation, claimed):
    """Whose fluctuations grow, so that it would refute what nobody claims."""
    table = pd.concat([draws(2, 32, init="orthogonal"), draws(16, 32, init="orthogonal")])
    claims = study.claims(table.assign(activation=activation))
    assert [word for claim in claims for word in ("hardly", "control") if word in claim.claim] == claimed
    assert all(claim.verdict == SUPPORTED for claim in claims if "control" in claim.claim)
    assert len(claims) == len(claimed)
