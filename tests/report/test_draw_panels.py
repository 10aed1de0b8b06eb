"""What Matplotlib draws of a figure: its legends, its axes' numbers and what its bands are."""

from itertools import pairwise

import pytest
import torch
from matplotlib.figure import Figure

from orthontk.figures import draw_panels, heatmaps
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series, axis_of_settings
from orthontk.figures.style import new_figure, save
from orthontk.kernels.kernel_series import KernelSeries
from orthontk.report.figure_data import figure_data


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


def test_entries_that_come_in_several_panels_lie_below_all(monkeypatch, tmp_path):
    figure = figure_of([2, 4], monkeypatch, tmp_path)
    assert texts(figure.legends[0]) == [f"curve {i}" for i in range(4)]
    assert all(axes.get_legend() is None for axes in figure.axes)


def test_a_title_is_no_wider_than_its_panel(monkeypatch, tmp_path):
    axis, kept = Axis("x"), []
    long = "learning rate 0.5; left at the end: " + "gaussian 2 of 3, " * 6
    panel = Panel(long, axis, axis, [Series("a", [1], [1])])
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (kept.append(figure), path.touch()))
    draw_panels.draw_panels(PanelFigure([panel] * 3, columns=3), tmp_path / "figure.png")
    draw_panels.print_panels(PanelFigure([panel]), tmp_path)
    own, (axes,) = new_figure()  # as a study of one's own draws it
    axes.set_title(long)
    save(own, tmp_path / "own.png")
    for figure in kept:
        figure.draw_without_rendering()
        boxes = [axes.title.get_window_extent() for axes in figure.axes]
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
        assert boxes[0].x0 > 0 and boxes[-1].x1 < figure.bbox.width


@pytest.mark.parametrize("words", [1, 4, 12])
def test_a_legend_below_is_no_wider_than_the_figure(words, monkeypatch, tmp_path):
    axis, kept = Axis("x"), []
    series = [Series(f"{i}" + " orthogonal" * words, [0], [i]) for i in range(6)]
    content = PanelFigure([Panel("", axis, axis, series)])
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (kept.append(figure), path.touch()))
    draw_panels.draw_panels(content, tmp_path / "figure.png")
    draw_panels.print_panels(content, tmp_path)
    for figure in kept:
        figure.draw_without_rendering()
        (legend,) = figure.legends
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.axes[0].get_tightbbox().y0
        assert [text.replace("\n", " ") for text in texts(legend)] == [one.name for one in series]


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("widths", [[64, 128], [64, 512], [16, 4096]])
def test_the_numbers_of_a_studys_own_logarithmic_axis_do_not_run_into_each_other(widths, inverted, tmp_path):
    figure, (axes,) = new_figure()
    axes.plot(widths, [0.1, 0.5], "o")
    axes.set(xscale="log", yscale="log", xlabel="width n")
    axes.xaxis.set_inverted(inverted)
    save(figure, tmp_path / "own.png")
    figure.draw_without_rendering()
    labels = axes.xaxis.get_ticklabels(which="both")
    low, high = sorted(axes.get_xlim())
    shown = [label for label in labels if label.get_text() and low <= label.get_position()[0] <= high]
    boxes = sorted((label.get_window_extent() for label in shown), key=lambda box: box.x0)
    assert len(boxes) > 1 and all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_single_step_is_a_whole_number_on_its_axis(monkeypatch, tmp_path):
    axis, kept = Axis("x"), []
    series = [Series(name, [0], [value], marker="o") for name, value in (("a", 1.0), ("b", 2.0))]
    monkeypatch.setattr(draw_panels, "save", lambda figure, path: kept.append(figure))
    draw_panels.draw_panels(PanelFigure([Panel("", axis, axis, series)]), tmp_path / "figure.png")
    axes = kept[0].axes[0]
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [0]


def test_points_are_not_joined_by_a_line(monkeypatch, tmp_path):
    axis, kept = Axis("x"), []
    points = Series("points", [0, 1, 2], [0, 2, 1], line="", marker=".")
    monkeypatch.setattr(draw_panels, "save", lambda figure, path: kept.append(figure))
    draw_panels.draw_panels(PanelFigure([Panel("", axis, axis, [points])], columns=1), tmp_path / "figure.png")
    (line,) = kept[0].axes[0].lines
    assert line.get_linestyle() == "None" and line.get_marker() == "."


def drawn(panel, monkeypatch, tmp_path, **settings):
    """The figure of one panel, laid out."""
    kept = []
    monkeypatch.setattr(draw_panels, "save", lambda figure, path: kept.append(figure))
    draw_panels.draw_panels(PanelFigure([panel], **settings), tmp_path / "figure.png")
    draw_panels.print_panels(PanelFigure([panel], **settings), tmp_path)
    for figure in kept:
        figure.draw_without_rendering()
    return kept


def numbers(axis):
    """What is written along an axis, within its ends."""
    low, high = axis.get_view_interval()
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [tick.label1.get_text() for tick in ticks if low <= tick.get_loc() <= high and tick.label1.get_text()]


@pytest.mark.parametrize("scale, ends", [
    ("log", (0.2, 0.5)), ("log", (0.3, 1)), ("log", (1.01, 1.02)), ("log", (0.52, 0.9)), ("log", (3, 80)),
    ("symlog", (2, 7)), ("symlog", (0, 20)),
])  # fmt: skip
def test_every_axis_has_two_numbers_or_more(scale, ends, monkeypatch, tmp_path):
    axis = Axis("x", scale)
    for figure in drawn(Panel("", axis, axis, [Series("a", ends, ends)]), monkeypatch, tmp_path):
        (axes,) = figure.axes
        assert all(2 <= len(numbers(axis)) <= 12 for axis in (axes.xaxis, axes.yaxis))


@pytest.mark.parametrize("ends, written", [
    ((1, 1e3), ["1", "10", "100", "1000"]),
    ((0.03, 0.7), ["0.1", "0.05", "0.2", "0.5"]),
    ((1e-5, 1e-2), ["$10^{-5}$", "$10^{-4}$", "$10^{-3}$", "$10^{-2}$"]),
    ((2e-6, 2e-5), ["$10^{-5}$", "$2\\times10^{-6}$", "$5\\times10^{-6}$", "$2\\times10^{-5}$"]),
])  # fmt: skip
def test_a_logarithmic_axis_writes_all_its_numbers_in_one_way(ends, written, monkeypatch, tmp_path):
    axis = Axis("x", "log")
    for figure in drawn(Panel("", axis, axis, [Series("a", ends, ends)]), monkeypatch, tmp_path):
        assert numbers(figure.axes[0].xaxis) == written


@pytest.mark.parametrize("values, written", [
    ([0.05, 0.2, 0.5], ["0.05", "0.2", "0.5"]),
    ([16, 64, 1024, 4096], ["16", "64", "1024", "4096"]),
    ([0.1, 0.101, 0.17782794, 1], ["0.1", "0.178", "1"]),  # the second would run into the first
    (list(range(1, 20)), ["1", "10", "2", "5", "20"]),  # too many
])  # fmt: skip
def test_an_axis_of_settings_has_its_numbers_at_the_values_run(values, written, monkeypatch, tmp_path):
    panel = Panel("", axis_of_settings("x", values), Axis("y"), [Series("a", values, values)])
    for figure in drawn(panel, monkeypatch, tmp_path):
        assert numbers(figure.axes[0].xaxis) == written


def test_numbers_at_the_values_run_do_not_run_into_each_other(monkeypatch, tmp_path):
    values = [10 ** (place / 3 - 2.5) for place in range(8)]
    panel = Panel("", axis_of_settings("x", values), Axis("y"), [Series("a", values, values)])
    for figure in drawn(panel, monkeypatch, tmp_path):
        ticks = [tick for tick in figure.axes[0].xaxis.get_major_ticks() if tick.label1.get_text()]
        boxes = [tick.label1.get_window_extent() for tick in ticks]
        assert len(boxes) >= 3 and all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_a_figure_says_what_its_bands_are(monkeypatch, tmp_path):
    axis = Axis("x")
    with_band = Panel("depth 3", axis, axis, [Series("a", [0, 1], [0, 1], low=[0, 0], high=[1, 2])])
    image, pdf = drawn(with_band, monkeypatch, tmp_path, intervals="95 % intervals", title="speed")
    assert image.get_suptitle() == "speed\n95 % intervals" and image.axes[0].get_title() == "depth 3"
    assert pdf.axes[0].get_title() == "depth 3\n95 % intervals"
    without = Panel("depth 3", axis, axis, [Series("a", [0, 1], [0, 1])])
    image, pdf = drawn(without, monkeypatch, tmp_path, intervals="95 % intervals", title="speed")
    assert image.get_suptitle() == "speed" and pdf.axes[0].get_title() == "depth 3"


def test_the_interval_of_a_single_point_is_a_bar(monkeypatch, tmp_path):
    axis = Axis("x")
    panel = Panel("", axis, axis, [Series("a", [1], [2], low=[1], high=[4])])
    (bar,) = drawn(panel, monkeypatch, tmp_path)[0].axes[0].collections
    (ends,) = bar.get_segments()
    assert ends[:, 1].tolist() == [1, 4]
    assert figure_data(PanelFigure([panel]), 100)["panels"][0]["series"][0]["bars"] is True


def test_steps_are_whole(monkeypatch, tmp_path):
    panel = Panel("", Axis("step"), Axis("loss"), [Series("a", [0, 1, 2], [0, 1, 2])])
    for figure in drawn(panel, monkeypatch, tmp_path):
        (axes,) = figure.axes
        assert numbers(axes.xaxis) == ["0", "1", "2"]
        assert {0.5, 1.5} <= {float(number) for number in numbers(axes.yaxis)}


def test_heatmaps_say_that_their_colours_are_not_the_same(monkeypatch, tmp_path):
    series, kept = KernelSeries("", {"labels": torch.zeros(2, dtype=torch.long)}, {}), []
    for step in (0, 5):
        series.add(step, (step + 1) * torch.eye(2))
    monkeypatch.setattr(heatmaps, "save", lambda figure, path: kept.append(figure))
    heatmaps.draw_heatmaps(series, tmp_path / "heatmap.png")
    assert "each kernel in its own colour scale" in kept[0].get_suptitle()


def test_powers_of_ten_are_as_long_as_they_are_seen():
    axes = Figure().subplots()
    axes.set(xscale="log", xlim=(1e-5, 1))
    rates = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    draw_panels._number(axes.xaxis, axis_of_settings("learning rate", rates))
    assert list(axes.xaxis.get_major_locator()()) == rates
