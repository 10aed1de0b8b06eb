"""A study's figures as panels, by the names that runs log; a study that is not here gets the curves of its training."""

from typing import NamedTuple

import wandb_workspaces.reports.v2 as wr

from orthontk.loggers.wandb_run import ALL_BUT_SEED


class Curve(NamedTuple):
    """A metric against the step; runs that differ in seeds alone are averaged, with a band of a standard deviation."""

    metric: str
    title: str
    log_x: bool = False
    log_y: bool = False


class Points(NamedTuple):
    """What each run ended with against one of its settings."""

    metric: str
    setting: str
    title: str
    log_y: bool = True


LR, WIDTH, DEPTH = "optimizer.lr", "model.width", "model.depth"
TRAINING = (
    Curve("train/loss", "training loss", log_y=True),
    Curve("train/accuracy", "training accuracy"),
    Curve("val/loss", "held-out loss", log_y=True),
    Curve("val/accuracy", "held-out accuracy"),
)
FIGURES: dict[str, tuple[Curve | Points, ...]] = {
    "KernelConvergence": (
        Points("convergence/ntk", WIDTH, "NTK ‖Θ̂−Θ∞‖/‖Θ∞‖ against width"),
        Points("convergence/nngp", WIDTH, "NNGP ‖K̂−K∞‖/‖K∞‖ against width"),
    ),
    "KernelDrift": (
        Points("ntk/change", WIDTH, "change of the NTK in training, against width"),
        *(Points(f"weights/change/layer{i}", WIDTH, f"change of layer {i}'s weights against width") for i in (1, 2, 4)),
        Curve("train/loss", "training loss", log_y=True),
    ),
    "DepthFluctuation": (
        Points("fluctuation/relative_variance", DEPTH, "Var[Θ(x,x)]/E[Θ(x,x)]² against depth"),
        Points("fluctuation/log_variance", DEPTH, "Var[log Θ(x,x)] against depth"),
    ),
    "DynamicalIsometry": (
        Curve("jacobian/relative_variance", "relative variance of σ² in training", log_x=True, log_y=True),
        Curve("jacobian/mean_square", "mean σ² in training", log_x=True, log_y=True),
        Curve("train/accuracy", "training accuracy"),
    ),
    "LazyTraining": TRAINING,
    "LearningSpeed": (
        Points("train/tau", LR, "τ (minibatches) against learning rate"),
        Points("test/tau", LR, "τ (test set) against learning rate"),
        Points("train/censored", LR, "share that never got there", log_y=False),
        Points("train/tau", DEPTH, "τ (minibatches) against depth"),
        Curve("train/accuracy", "training accuracy"),
    ),
}
PER_ROW, WIDE, HIGH = 2, 12, 8


def figures_of(study: str) -> tuple[Curve | Points, ...]:
    return FIGURES.get(study, TRAINING)


def panels_of(study: str) -> list[wr.LinePlot | wr.ScatterPlot]:
    """The panels over runs of one initialization each, with what else explains their result."""
    figures = figures_of(study)
    panels = [_curve(figure) if isinstance(figure, Curve) else _points(figure) for figure in figures]
    result = figures[0].metric
    settings = dict.fromkeys([figure.setting for figure in figures if isinstance(figure, Points)] or [LR])
    axes = [*map(wr.Config, ("init.scheme", *settings)), wr.SummaryMetric(result)]
    columns = [wr.ParallelCoordinatesPlotColumn(axis, display_name=axis.name) for axis in axes]
    panels.append(wr.ParallelCoordinatesPlot(columns=columns, title=f"what goes with {result}"))
    return _in_rows(panels)


def ensemble_panels_of(study: str) -> list[wr.LinePlot | wr.CustomChart]:
    """The panels over ensembles, whose metrics' names hold initialization and learning rate."""
    panels: list = []
    if study == "LearningSpeed":
        for split, inputs in (("train", "minibatches"), ("test", "test set")):
            strings = {"title": f"mean τ ({inputs}) against learning rate", "xname": "learning rate"}
            chart = wr.CustomChart.from_table(
                f"learning_speed/{split}_table",
                chart_fields={"step": "step", "lineKey": "lineKey", "lineVal": "lineVal"},
                chart_strings=strings,
            )
            chart.chart_name = "wandb/lineseries/v0"
            panels.append(chart)
    curves = [figure for figure in figures_of(study) if isinstance(figure, Curve)]
    for curve in curves:
        panel = _curve(curve, grouped=False)
        panel.y, panel.metric_regex = [], f"^{curve.metric}/.+/mean$"
        panels.append(panel)
    return _in_rows(panels)


def _curve(curve: Curve, grouped: bool = True) -> wr.LinePlot:
    band = {"groupby": wr.Config(ALL_BUT_SEED), "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
    return wr.LinePlot(
        title=curve.title,
        x="Step",
        y=[curve.metric],
        title_x="updates",
        title_y=curve.metric,
        log_x=curve.log_x,
        log_y=curve.log_y,
        **(band if grouped else {}),
    )


def _points(points: Points) -> wr.ScatterPlot:
    return wr.ScatterPlot(
        title=points.title,
        x=wr.Config(points.setting),
        y=wr.SummaryMetric(points.metric),
        log_x=True,
        log_y=points.log_y,
    )


def _in_rows(panels: list) -> list:
    """Two beside one another."""
    for number, panel in enumerate(panels):
        row, column = divmod(number, PER_ROW)
        panel.layout = wr.Layout(x=column * WIDE, y=row * HIGH, w=WIDE, h=HIGH)
    return panels
