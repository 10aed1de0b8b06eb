"""What there is to see of one run, as data, and `figures/` drawn from it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from orthontk.counted import counted
from orthontk.csv_rows import Row, read_metrics
from orthontk.figures.draw_panels import draw_panels
from orthontk.figures.heatmaps import draw_heatmaps
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series, curve
from orthontk.figures.prediction import prediction
from orthontk.figures.style import BLUE, GREEN, ORANGE, STEPS, sequence
from orthontk.kernels import measures
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.run.directory import JACOBIAN, KERNELS, METRICS

SPLITS = {"train": (BLUE, "train (minibatch)"), "val": (ORANGE, "validation"), "test": (GREEN, "test")}
MOST_LINES = 8  # of checkpoints or layers in one panel
MEASURES = {
    "ntk/alignment": Axis("alignment with the labels"),
    "ntk/effective_rank": Axis("effective rank"),
    "ntk/top_eigenvalue": Axis("largest eigenvalue", "log"),
}
# Not worth a file in every run's folder.
ON_THE_PAGE_ONLY = ("kernel_measures", "layers", "jacobian_spectrum")


def draw_run(directory: Path) -> list[Path]:
    """Draw every figure that the run's files allow, and return their paths."""
    folder = directory / "figures"
    rows = read_metrics(directory / METRICS)
    drawn = []
    for name, content in run_figures(directory, rows).items():
        if name not in ON_THE_PAGE_ONLY:
            drawn.append(draw_panels(content, folder / f"{name}.png"))
    if (directory / KERNELS).exists():
        drawn.append(draw_heatmaps(KernelSeries.read(directory / KERNELS), folder / "ntk_heatmap.png"))
    return drawn


def run_figures(directory: Path, rows: Sequence[Row]) -> dict[str, PanelFigure]:
    """By name, each figure of a single run that its rows of `metrics.csv` and its files have something for."""
    found = {
        "learning_curves": learning_curves(rows),
        "prediction": prediction(rows),
        "ntk_change": kernel_change(rows),
        "kernel_measures": kernel_measures(rows),
        "layers": layers(rows),
    }
    files: dict[str, tuple[str, Callable[[KernelSeries], PanelFigure]]] = {
        "ntk_spectrum": (KERNELS, kernel_spectra),
        "jacobian_spectrum": (JACOBIAN, jacobian_spectra),
    }
    for name, (file, figure_of) in files.items():
        if (directory / file).exists():
            found[name] = figure_of(KernelSeries.read(directory / file))
    return {name: content for name, content in found.items() if any(panel.series for panel in content.panels)}


def learning_curves(rows: Sequence[Row]) -> PanelFigure:
    """Loss and accuracy of each split, where there are any."""
    axes = {"loss": Axis("loss", "log"), "accuracy": Axis("accuracy (share of images)", ends=(0, 1))}
    panels = [
        Panel("", Axis(STEPS), axis, _curves(rows, {f"{split}/{quantity}": look for split, look in SPLITS.items()}))
        for quantity, axis in axes.items()
    ]
    panels = [panel for panel in panels if panel.series]
    return PanelFigure(panels, columns=max(1, len(panels)), title="Learning curves")


def kernel_change(rows: Sequence[Row]) -> PanelFigure:
    """How far the kernel has moved; from the first step on, as a log axis has no 0."""
    series = _curves(rows, {"ntk/change": (BLUE, "NTK")}, marker="o", positive=True)
    y = Axis("NTK change  ‖Θₜ − Θ₀‖ / ‖Θ₀‖", "log")
    return PanelFigure([Panel("", Axis(STEPS, "symlog"), y, series)], title="Change of the NTK in training")


def kernel_measures(rows: Sequence[Row]) -> PanelFigure:
    """Scalars of the kernel over training."""
    panels = [
        Panel("", Axis(STEPS, "symlog"), axis, _curves(rows, {name: (BLUE, "NTK")}, marker="o"))
        for name, axis in MEASURES.items()
    ]
    panels = [panel for panel in panels if panel.series]
    return PanelFigure(panels, columns=len(MEASURES), title="Measures of the NTK in training")


def layers(rows: Sequence[Row]) -> PanelFigure:
    """How far each layer's weights have moved, at most MOST_LINES of them, evenly chosen."""
    prefix = "weights/change/"
    names = sorted({name for row in rows for name in row if name.startswith(prefix)}, key=lambda n: (len(n), n))
    names = evenly(names, MOST_LINES)
    looks = {name: (c, name.removeprefix(prefix)) for name, c in zip(names, sequence(len(names)), strict=True)}
    y = Axis("change of the weights  ‖Wₜ − W₀‖ / ‖W₀‖", "log")
    series = _curves(rows, looks, marker="o", positive=True)
    return PanelFigure([Panel("", Axis(STEPS, "symlog"), y, series)], title="Change of each layer in training")


def kernel_spectra(series: KernelSeries) -> PanelFigure:
    """Eigenvalues of the probe's kernel in descending order, at checkpoints from the first to the last."""
    spectra = {step: measures.eigenvalues(kernel).flip(0).numpy() for step, kernel in _checkpoints(series)}
    y = Axis("eigenvalue of Θ on the probe", "log")
    return PanelFigure([_ranks(spectra, y)], title="Eigenvalues of the NTK in training")


def jacobian_spectra(series: KernelSeries) -> PanelFigure:
    """Singular values of the Jacobian in descending order, each the mean over inputs."""
    spectra = {step: values.double().mean(0).numpy() for step, values in _checkpoints(series)}
    y = Axis("singular value of the Jacobian", "log")
    return PanelFigure([_ranks(spectra, y)], title="Singular values of the Jacobian, first to last hidden layer")


def evenly(values: Sequence, most: int) -> list:
    """At most that many of them, with the first and the last.

    >>> evenly(range(10), 4)
    [0, 3, 6, 9]
    """
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _checkpoints(series: KernelSeries) -> list[tuple[int, Tensor]]:
    """Some of them, without those at which training had diverged."""
    found = [(s, kernel) for s, kernel in zip(series.steps, series.kernels, strict=True) if kernel.isfinite().all()]
    return evenly(found, MOST_LINES)


def _ranks(spectra: Mapping[int, np.ndarray], y: Axis) -> Panel:
    """Values against their rank; rounding makes the least eigenvalues of a semi-definite kernel negative."""
    series = []
    for (step, values), colour in zip(spectra.items(), sequence(len(spectra)), strict=True):
        kept = values[values > 0]
        name = f"after {counted(step, 'step')}"
        series.append(Series(name, np.arange(1, len(kept) + 1).tolist(), kept.tolist(), colour))
    return Panel("", Axis("rank", "log"), y, series)


def _curves(rows: Sequence[Row], looks: Mapping[str, tuple[str, str]], *, marker="", positive=False) -> list[Series]:
    """A curve for each metric that was measured. Few points get markers, or a single one would not be seen."""
    found = []
    for metric, (colour, name) in looks.items():
        steps, values = curve(rows, metric, positive=positive)
        if steps:
            found.append(Series(name, steps, values, colour, marker=marker or ("o" if len(steps) < 30 else "")))
    return found
