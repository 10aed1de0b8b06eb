"""What every figure shares."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which people with any colour vision tell apart.
BLUE, ORANGE, GREEN, PURPLE, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000"
STEPS = "step (updates made)"


def new_figure(columns: int = 1, rows: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with its axes in a flat list; it belongs to no window, so nothing needs closing."""
    figure = Figure(figsize=(4.6 * columns, 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    return figure, axes


def step_axis(axes: Axes, last_step: float) -> None:
    """Steps from 0 on: linear up to 1, logarithmic from there, since kernels are measured at such steps."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.set_xlim(-0.2, max(last_step, 1) * 1.05)
    axes.set_xlabel(STEPS)
    axes.grid(alpha=0.25)


def save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(partial, dpi=150)
    partial.replace(path)
