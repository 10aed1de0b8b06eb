"""The kernel of a run's probe as an image."""

from pathlib import Path

import torch
from torch import Tensor

from orthontk.counted import counted
from orthontk.figures.style import new_figure, save
from orthontk.kernels import measures
from orthontk.kernels.kernel_series import KernelSeries


def draw_heatmaps(series: KernelSeries, path: Path) -> Path:
    """Θ averaged over equal outputs, inputs by class, at the first and the last checkpoint, each in its own scale."""
    order, labels = by_class(series)
    starts = [i for i, label in enumerate(labels) if i == 0 or labels[i - 1] != label]
    figure, all_axes = new_figure(columns=2)
    for axes, place in zip(all_axes, (0, -1), strict=True):
        kernel = measures.mean_over_outputs(series.kernels[place])[order][:, order]
        image = axes.imshow(kernel, cmap="viridis", interpolation="nearest")
        figure.colorbar(image, ax=axes, label="Θ(x, x′), mean over outputs")
        axes.set_title(f"after {counted(series.steps[place], 'step')}")
        axes.set_xlabel("probe image, sorted by class")
        axes.set_xticks(starts, [labels[i] for i in starts])
        axes.set_yticks(starts, [labels[i] for i in starts])
    all_axes[0].set_ylabel("probe image, sorted by class")
    figure.suptitle("The NTK on the probe, each kernel in its own colour scale", fontsize=9)
    save(figure, path)
    return path


def by_class(series: KernelSeries) -> tuple[Tensor, list[int]]:
    """The order (N,) that sorts the probe's inputs by class, and their labels in it."""
    order = torch.argsort(series.probe["labels"], stable=True)
    return order, series.probe["labels"][order].tolist()
