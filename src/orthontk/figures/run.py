"""`figures/` of one run: learning curves, NTK change, kernel heatmaps and spectra."""

from pathlib import Path

import torch

from orthontk.callbacks.kernel_series import KernelSeries
from orthontk.figures.prediction import draw_prediction
from orthontk.figures.style import BLUE, GREEN, ORANGE, STEPS, new_figure, save, step_axis
from orthontk.kernels import measures
from orthontk.loggers import read_metrics
from orthontk.loggers.metrics_csv import Row

SPLITS = {"train": (BLUE, "train (minibatch)"), "val": (ORANGE, "validation"), "test": (GREEN, "test")}


def draw_run(directory: Path) -> list[Path]:
    """Draw every figure that the run's files allow, and return their paths."""
    rows = read_metrics(directory / "metrics.csv")
    figures = directory / "figures"
    drawn = []
    if any("train/loss" in row for row in rows):
        drawn.append(draw_learning_curves(rows, figures / "learning_curves.png"))
    if any("actual/train/loss" in row for row in rows):
        drawn.append(draw_prediction(rows, figures / "prediction.png"))
    if any("ntk/change" in row for row in rows):
        drawn.append(draw_kernel_change(rows, figures / "ntk_change.png"))
    if (directory / "ntk.safetensors").exists():
        series = KernelSeries.read(directory / "ntk.safetensors")
        drawn.append(draw_heatmaps(series, figures / "ntk_heatmap.png"))
        drawn.append(draw_spectra(series, figures / "ntk_spectrum.png"))
    return drawn


def draw_learning_curves(rows: list[Row], path: Path) -> Path:
    figure, (loss, accuracy) = new_figure(columns=2)
    for split, (colour, label) in SPLITS.items():
        for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
            steps, values = _curve(rows, f"{split}/{quantity}")
            if steps:
                axes.plot(steps, values, marker="o", markersize=3, color=colour, label=label)
    loss.set(yscale="log", xlabel=STEPS, ylabel="loss")
    accuracy.set(ylim=(0, 1), xlabel=STEPS, ylabel="accuracy (share of images)")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.25, which="both")
    loss.legend()
    save(figure, path)
    return path


def draw_kernel_change(rows: list[Row], path: Path) -> Path:
    figure, (axes,) = new_figure()
    steps, values = _curve(rows, "ntk/change")
    moved = [(step, value) for step, value in zip(steps, values, strict=True) if value > 0]  # not the 0 of step 0
    axes.plot(*zip(*moved, strict=True) if moved else ([], []), marker="o", color=BLUE)
    axes.set(yscale="log" if moved else "linear")
    step_axis(axes, steps[-1])
    axes.set_ylabel("NTK change  ‖Θ$_t$ − Θ$_0$‖$_F$ / ‖Θ$_0$‖$_F$")
    save(figure, path)
    return path


def draw_heatmaps(series: KernelSeries, path: Path) -> Path:
    """Θ averaged over equal outputs, inputs by class, at the first and the last checkpoint, each in its own scale."""
    order = torch.argsort(series.probe["labels"], stable=True)
    steps, first_and_last = _first_and_last(series)
    kernels = [measures.mean_over_outputs(kernel)[order][:, order] for kernel in first_and_last]
    labels = series.probe["labels"][order].tolist()
    starts = [i for i, label in enumerate(labels) if i == 0 or labels[i - 1] != label]
    figure, all_axes = new_figure(columns=2)
    for axes, kernel, step in zip(all_axes, kernels, steps, strict=True):
        image = axes.imshow(kernel, cmap="viridis", interpolation="nearest")
        figure.colorbar(image, ax=axes, label="Θ(x, x′), mean over outputs")
        axes.set_title(f"after {step} steps")
        axes.set_xlabel("probe image, sorted by class")
        axes.set_xticks(starts, [labels[i] for i in starts])
        axes.set_yticks(starts, [labels[i] for i in starts])
    all_axes[0].set_ylabel("probe image, sorted by class")
    save(figure, path)
    return path


def draw_spectra(series: KernelSeries, path: Path) -> Path:
    """Eigenvalues of the probe's kernel in descending order, at the first and the last checkpoint."""
    figure, (axes,) = new_figure()
    steps, kernels = _first_and_last(series)
    for kernel, step, colour, line in zip(kernels, steps, (BLUE, ORANGE), ("-", "--"), strict=True):
        eigenvalues = measures.eigenvalues(kernel).flip(0)
        axes.plot(range(1, len(eigenvalues) + 1), eigenvalues, line, color=colour, label=f"after {step} steps")
    axes.set(xscale="log", yscale="log", xlabel="rank", ylabel="eigenvalue of Θ on the probe")
    axes.grid(alpha=0.25, which="both")
    axes.legend()
    save(figure, path)
    return path


def _first_and_last(series: KernelSeries) -> tuple[list[int], list[torch.Tensor]]:
    return [series.steps[0], series.steps[-1]], [series.kernels[0], series.kernels[-1]]


def _curve(rows: list[Row], metric: str) -> tuple[list[float], list[float]]:
    points = [(row["step"], row[metric]) for row in rows if metric in row]
    return [step for step, _ in points], [value for _, value in points]
