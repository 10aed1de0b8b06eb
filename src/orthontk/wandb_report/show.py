"""A report's JSON rendered back into a list of its blocks."""

from collections.abc import Iterator
from typing import Any

from wandb_workspaces.expr import filters_v2_to_string
from wandb_workspaces.reports.v2 import internal


def described(report: dict[str, Any]) -> Iterator[str]:
    """A line for each block, and for each run set and panel in it.

    Args:
        report: what `orthontk.wandb_report.publish.write` has written.
    """
    yield f"{report['displayName']}: {report['description']}"
    for block in internal.Spec.model_validate(report["spec"]).blocks:
        yield from _block(block)


def _block(block: Any) -> Iterator[str]:
    kind = type(block).__name__
    if kind == "PanelGrid":
        yield "  PanelGrid"
        for runset in block.metadata.run_sets:
            yield f"    runs {runset.name}: {filters_v2_to_string(runset.filters)}"
        for panel in block.metadata.panel_bank_section_config.panels:
            yield f"    {_panel(panel)}"
    elif text := _text(block).strip():
        first, *more = text.splitlines()
        yield f"  {kind}: {first}" + (f" … ({len(more)} more lines)" if more else "")


def _panel(panel: Any) -> str:
    kind, config = type(panel).__name__, panel.config
    if kind == "LinePlot":
        metrics = config.metric_regex or ", ".join(config.metrics)
        return f"LinePlot: {config.chart_title}: {metrics} against {config.x_axis}"
    if kind == "ScatterPlot":
        return f"ScatterPlot: {config.chart_title}: {config.y_axis} against {config.x_axis}"
    if kind == "Vega2":
        return f"Custom chart: {config.string_settings['title']}"
    return f"{kind}: {getattr(config, 'chart_title', '')}"


def _text(block: Any) -> str:
    """Of a heading, paragraph, Markdown or code, however deep it is nested."""
    if isinstance(block, list):
        are_lines = bool(block) and type(block[0]).__name__ == "CodeLine"
        return ("\n" if are_lines else "").join(map(_text, block))
    for name in ("text", "content", "children"):
        value = getattr(block, name, None)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and value:
            return _text(value)
    return ""
