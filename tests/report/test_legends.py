"""Where a figure's legends lie."""

import pytest

from orthontk.figures import draw_panels
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series


def figure_of(counts, monkeypatch, tmp_path):
    """The figure of panels with so many curves each, the first of which are the same in all."""
    axis = Axis("x")
    curves = [Series(f"curve {i}", [0, 1], [0, i]) for i in range(max(counts))]
    content = PanelFigure([Panel("", axis, axis, curves[:count]) for count in counts], columns=2)
    kept = []
    monkeypatch.setattr(draw_panels, "save", lambda figure, path: kept.append(figure))
    draw_panels.draw_panels(content, tmp_path / "figure.png")
    return kept[0]


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


def test_short_ones_lie_within_the_first_panel_that_has_the_entries(monkeypatch, tmp_path):
    figure = figure_of([3, 3], monkeypatch, tmp_path)
    first, second = figure.axes
    assert texts(first.get_legend()) == ["curve 0", "curve 1", "curve 2"]
    assert second.get_legend() is None and not figure.legends


@pytest.mark.parametrize("counts", [[7, 2], [2, 7]])
def test_one_that_would_hide_curves_lies_below_all_panels(counts, monkeypatch, tmp_path):
    figure = figure_of(counts, monkeypatch, tmp_path)
    (legend,) = figure.legends
    assert sorted(texts(legend)) == [f"curve {i}" for i in range(7)]
    assert all(axes.get_legend() is None for axes in figure.axes)
    figure.draw_without_rendering()
    lowest = min(axes.get_tightbbox().y0 for axes in figure.axes)
    assert legend.get_window_extent().y1 <= lowest


def test_points_are_not_joined_by_a_line(monkeypatch, tmp_path):
    axis, kept = Axis("x"), []
    points = Series("points", [0, 1, 2], [0, 2, 1], line="", marker=".")
    monkeypatch.setattr(draw_panels, "save", lambda figure, path: kept.append(figure))
    draw_panels.draw_panels(PanelFigure([Panel("", axis, axis, [points])], columns=1), tmp_path / "figure.png")
    (line,) = kept[0].axes[0].lines
    assert line.get_linestyle() == "None" and line.get_marker() == "."
