"""Predicted against actual training, curve on curve."""

from pathlib import Path

from orthontk.figures.style import BLUE, GREEN, ORANGE, PURPLE, new_figure, save, step_axis
from orthontk.loggers.metrics_csv import Row

PREDICTIONS = {
    "predicted": (ORANGE, "linearized at initialization"),
    "predicted_trace": (GREEN, "linearized, mean over outputs"),
    "predicted_infinite": (PURPLE, "infinite width"),
}


def draw_prediction(rows: list[Row], path: Path) -> Path:
    """Actual losses on the training and test inputs with every prediction of them, and the predictions' errors."""
    figure, (train, test, error) = new_figure(columns=3)
    for axes, split in ((train, "train"), (test, "test")):
        axes.plot(*_curve(rows, f"actual/{split}/loss"), color=BLUE, marker="o", linewidth=3, alpha=0.6, label="actual")
        for name, (colour, label) in PREDICTIONS.items():
            steps, values = _curve(rows, f"{name}/{split}/loss")
            if steps:
                axes.plot(steps, values, "--", color=colour, marker=".", label=f"predicted: {label}")
        axes.set(yscale="log", ylabel=f"{split} loss")
    for name, (colour, label) in PREDICTIONS.items():
        steps, values = _curve(rows, name.replace("predicted", "ntk/prediction_error"))
        moved = [(step, value) for step, value in zip(steps, values, strict=True) if value > 0]  # not the 0 of step 0
        if moved:
            error.plot(*zip(*moved, strict=True), marker="o", color=colour, label=label)
            error.set_yscale("log")
    error.set_ylabel("prediction error  ‖f$_t$ − f̂$_t$‖ / ‖f̂$_t$ − f$_0$‖")
    for axes in (train, test, error):
        step_axis(axes, rows[-1]["step"])
    train.legend()
    save(figure, path)
    return path


def _curve(rows: list[Row], metric: str) -> tuple[list[float], list[float]]:
    points = [(row["step"], row[metric]) for row in rows if metric in row]
    return [step for step, _ in points], [value for _, value in points]
