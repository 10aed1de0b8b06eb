"""What W&B draws of a run's kernels, and of an ensemble's curves."""

import numpy as np
import pytest
import torch

from orthontk.loggers.wandb_ensemble import MOST_ROWS, line_series
from orthontk.loggers.wandb_run import kernel_media


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_spectrum_that_ends_in_zeros_is_drawn_down_to_the_rounding(dtype):
    """A kernel of rank 2: below the rounding of its largest eigenvalue there is nothing to see."""
    factor = torch.arange(20, dtype=dtype).reshape(10, 2)
    bins = np.array(kernel_media(factor @ factor.mT)["ntk/log10_eigenvalues"].bins)
    largest = np.log10((factor.double() ** 2).sum())
    assert largest - 17 < bins.min() < largest - 5 and bins.max() < largest + 1


def test_a_kernel_of_zeros_can_be_drawn():
    assert np.isfinite(kernel_media(torch.zeros(3, 3))["ntk/log10_eigenvalues"].bins).all()


@pytest.mark.parametrize(("seeds", "steps"), [(201, 99), (100, 100), (3, 7), (MOST_ROWS + 1, 2)])
def test_an_ensembles_curves_fit_into_a_table(seeds, steps):
    curves = {seed: dict.fromkeys(range(steps), 0.0) for seed in range(seeds)}
    rows = len(line_series("train/loss", curves).table.data)
    assert min(seeds * steps, MOST_ROWS // 3) <= rows <= max(MOST_ROWS, seeds)
