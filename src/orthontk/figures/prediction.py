"""Predicted against actual training, curve on curve."""

from collections.abc import Sequence

from orthontk.csv_rows import Row
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series, curve
from orthontk.figures.style import BLUE, GREEN, ORANGE, PURPLE, STEPS

PREDICTIONS = {
    "predicted": (ORANGE, "linearized at initialization"),
    "predicted_trace": (GREEN, "linearized, mean over outputs"),
    "predicted_infinite": (PURPLE, "infinite width"),
}
STEP_AXIS = Axis(STEPS, "symlog")


def prediction(rows: Sequence[Row]) -> PanelFigure:
    """Actual losses on the training and test inputs with every prediction of them, and the predictions' errors."""
    panels = [_losses(rows, split) for split in ("train", "test")] + [_errors(rows)]
    panels = [panel for panel in panels if panel.series]
    return PanelFigure(panels, columns=3, title="Predicted against actual training")


def _losses(rows: Sequence[Row], split: str) -> Panel:
    series = []
    steps, values = curve(rows, f"actual/{split}/loss")
    if steps:
        series.append(Series("actual", steps, values, BLUE, marker="o", width=3, opacity=0.6))
    for name, (colour, label) in PREDICTIONS.items():
        steps, values = curve(rows, f"{name}/{split}/loss")
        if steps:
            series.append(Series(f"predicted: {label}", steps, values, colour, "--", marker="."))
    return Panel("", STEP_AXIS, Axis(f"{split} loss", "log"), series)


def _errors(rows: Sequence[Row]) -> Panel:
    series = []
    for name, (colour, label) in PREDICTIONS.items():
        steps, values = curve(rows, name.replace("predicted", "ntk/prediction_error"), positive=True)
        if steps:  # not the 0 of step 0
            series.append(Series(f"predicted: {label}", steps, values, colour, marker="o"))
    return Panel("", STEP_AXIS, Axis("prediction error  ‖fₜ − f̂ₜ‖ / ‖f̂ₜ − f₀‖", "log"), series)
