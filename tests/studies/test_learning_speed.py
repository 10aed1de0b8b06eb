"""Times to an accuracy, made up so that the claims are known."""

import numpy as np
import pandas as pd

from orthontk.studies import LearningSpeed


def test_without_a_seed_that_learned_at_every_rate_nothing_is_claimed():
    """Each rate by itself is usable, as few runs are censored there, but no seed has a ratio at both."""
    network = {"family": "FCN", "activation": "tanh", "depth": 5, "width": 64, "normalize": "none", "split": "train"}
    rows = [
        network | {"init": init, "seed": seed, "learning_rate": rate, "fraction": np.nan, "censored": seed == failing}
        for init in ("gaussian", "orthogonal")
        for rate, failing in ((0.1, 0), (0.2, 1))
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows)
    table["tau"] = np.where(table.censored, np.nan, 10.0)
    claims = LearningSpeed(ratio_above=1.5, most_censored=0.5).claims(table)
    assert [claim for claim in claims if claim.interval.seeds == 0] == []
