"""The page's heatmaps keep a kernel's values to a part in 255 of its range, however narrow that is."""

import base64

import numpy as np
import pytest
import torch

from orthontk.kernels.kernel_series import KernelSeries
from orthontk.report.heatmap_data import LEVELS, heatmap_data
from orthontk.report.thin import Detail


def data_of(kernel):
    series = KernelSeries("", {"labels": torch.zeros(len(kernel), dtype=torch.long)}, {})
    series.add(0, kernel)
    (checkpoint,) = heatmap_data(series, Detail())["checkpoints"]
    return checkpoint


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4, 1e-7])
def test_values_are_near_those_of_the_kernel(spread, seeded):
    kernel = 1000 * (1 + spread * torch.rand(5, 5, dtype=torch.float64))
    kernel = (kernel + kernel.T) / 2
    data = data_of(kernel)
    levels = np.frombuffer(base64.b64decode(data["levels"]), dtype=np.uint8)
    values = data["low"] + levels / LEVELS * (data["high"] - data["low"])
    span = float(kernel.max() - kernel.min())
    expected = kernel.numpy()[np.triu_indices(5)]
    assert np.abs(values - expected).max() <= 0.51 * span / LEVELS
    shown = [float(f"{value:.{data['digits']}g}") for value in values]
    assert np.abs(shown - expected).max() <= span / LEVELS


def test_a_kernel_of_one_value(seeded):
    data = data_of(torch.full((3, 3), 2.0))
    assert (data["low"], data["high"], data["digits"]) == (2.0, 2.0, 4)


def test_the_means_in_words_tell_what_differs():
    kernel = torch.full((3, 3), 1000.1, dtype=torch.float64).fill_diagonal_(1000.2)
    assert data_of(kernel)["words"] == "mean of Θ: 1000.2 on the diagonal, 1000.1 within classes"
