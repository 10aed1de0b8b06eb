"""The page in Chromium: what is drawn, what its controls do, and that nothing leaves it."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.slow

BLUE, ORANGE, SKY = (0, 114, 178), (213, 94, 0), (86, 180, 233)


def shot(locator) -> np.ndarray:
    """What is seen of an element, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def pixels(image, colour) -> int:
    return int((np.abs(image - np.array(colour)).max(-1) < 30).sum())


def drawn(page, place=0):
    """The plot area of a chart, once it is drawn."""
    plot = page.locator(".view:visible .plot").nth(place)
    plot.scroll_into_view_if_needed()
    area = plot.locator(".nsewdrag").first
    expect(area).to_be_visible()
    page.wait_for_timeout(300)
    return area


def hash_of(page, text):
    return page.locator("#runs tbody a", has_text=text).first.get_attribute("href")


def go(page, route):
    page.evaluate("route => { location.hash = route; }", route)
    page.wait_for_function(
        "route => current === route.slice(1) && document.querySelector('.view:not([hidden])')", arg=route
    )


def open_run(page, text):
    go(page, hash_of(page, text))
    expect(page.locator(".view:visible h1", has_text=text.split("/")[-1])).to_be_visible()


def test_a_studys_figure_is_drawn_and_its_controls_work(open_page, page_file):
    with open_page(page_file, "#study/kernel_drift-quick") as page:
        area = drawn(page)
        image = shot(area)
        assert pixels(image, BLUE) > 50 and pixels(image, ORANGE) > 50
        assert page.locator(".modebar-btn").count() > 0 and page.locator("[data-title*=Share]").count() == 0
        page.get_by_role("button", name="log y").first.click()
        page.wait_for_timeout(500)
        linear = shot(drawn(page))
        assert page.evaluate("document.querySelector('.view:not([hidden]) .plot')._fullLayout.yaxis.type") == "linear"
        assert linear.shape != image.shape or (np.abs(linear - image).max(-1) > 30).mean() > 0.01  # curves moved
        page.get_by_role("button", name="gaussian, NTK").click()
        page.wait_for_timeout(500)
        image = shot(drawn(page))
        assert pixels(image, BLUE) < 5 and pixels(image, ORANGE) > 50
        low, high = page.evaluate("document.querySelector('.view:not([hidden]) .plot')._fullLayout.xaxis.range")
        page.get_by_role("button", name="Zoom in").first.click()
        now = page.evaluate("document.querySelector('.view:not([hidden]) .plot')._fullLayout.xaxis.range")
        assert now[1] - now[0] == pytest.approx((high - low) / 2)


def test_hovering_shows_values(open_page, page_file):
    with open_page(page_file, "#study/kernel_drift-quick") as page:
        area = drawn(page)
        points = page.locator(".view:visible .plot").first.locator("path.point")
        box = points.first.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        label = page.locator(".hoverlayer .hovertext").first
        expect(label).to_contain_text(re.compile(r"[\d.]+ \[.*\] at 4"))
        assert area.is_visible()


def test_filtering_and_sorting(open_page, page_file):
    with open_page(page_file, "#runs") as page:
        rows = page.locator("#runs tbody tr:visible")
        total = rows.count()
        page.locator("#filter").fill("width=16 orthogonal")
        assert 0 < rows.count() < total
        expect(page.locator("#filter-count")).to_have_text(f"{rows.count()} of {total} rows")
        assert all("n16" in text and "orthogonal" in text for text in rows.locator("th").all_text_contents())
        page.locator("#filter").fill("width<=8 NTKchange>0")
        assert 0 < rows.count() < total
        page.locator("#filter").fill("")
        heading = page.locator("#runs thead th", has_text="NTK change")
        column = page.evaluate("th => th.cellIndex", heading.element_handle())
        for direction, sign in (("ascending", 1), ("descending", -1)):
            heading.get_by_role("button").press("Enter")  # by keyboard
            expect(heading).to_have_attribute("aria-sort", direction)
            shown = [row.locator("th, td").nth(column).text_content() for row in rows.all()]
            values = [sign * float(text) for text in shown if text]
            assert values == sorted(values) and len(set(values)) > 3
            assert shown[len(values) :] == [""] * (total - len(values))


def test_the_slider_changes_the_heatmap(open_page, page_file):
    with open_page(page_file) as page:
        open_run(page, "single/fcn")
        slider = page.get_by_label("Checkpoint")
        plot = page.locator(".plot.square")
        plot.scroll_into_view_if_needed()
        expect(plot.locator(".hm image, .heatmaplayer image").first).to_be_attached()
        page.wait_for_timeout(500)
        first, words = shot(plot), page.locator("#kernel-words").text_content()
        assert len(np.unique(first.reshape(-1, 3), axis=0)) > 50  # a heatmap has many colours
        slider.focus()
        slider.press("End")
        expect(page.locator(".slider output")).to_have_text("after 20 steps")
        page.wait_for_timeout(500)
        assert (np.abs(shot(plot) - first).max(-1) > 20).mean() > 0.02
        assert page.locator("#kernel-words").text_content() != words


def test_everything_of_a_run(open_page, page_file):
    with open_page(page_file) as page:
        open_run(page, "single/fcn")
        captions = page.locator(".view:visible figcaption").all_text_contents()
        for caption in (
            "Learning curves",
            "Predicted against actual training",
            "Change of the NTK in training",
            "Eigenvalues of the NTK in training",
            "Singular values of the Jacobian, first to last hidden layer",
        ):
            assert caption in captions
        command = page.locator(".command").text_content()
        assert command.startswith("python train.py ") and "init=orthogonal" in command and "resume=never" in command
        page.get_by_text("All settings").click()
        expect(page.locator("details pre")).to_contain_text("probe_size: 10")
        for place in range(page.locator(".view:visible .plot").count()):
            drawn(page, place)


def test_an_ensemble_has_bands_and_tau(open_page, page_file):
    with open_page(page_file) as page:
        open_run(page, "ensemble/fcn")
        captions = " ".join(page.locator(".view:visible figcaption").all_text_contents())
        assert "train loss (minibatch), mean over seeds" in captions and "τ against the learning rate" in captions
        image = shot(drawn(page))
        light_blue = np.array(BLUE) * 0.2 + 255 * 0.8
        assert pixels(image, BLUE) > 50 and pixels(image, light_blue) > 500


def test_markup_in_names_and_settings_is_text(open_page, page_file):
    with open_page(page_file) as page:
        link = page.locator("#runs tbody a", has_text="<img src=x onerror=alert(1)>")
        expect(link).to_be_visible()
        go(page, link.get_attribute("href"))
        expect(page.locator(".view:visible h1")).to_have_text("single/<img src=x onerror=alert(1)>")
        page.get_by_text("All settings").click()
        expect(page.locator("details pre")).to_contain_text("</script><b>bold</b>")
        assert page.locator("img").count() == 0 and page.locator("b").count() == 0


def test_a_half_finished_run(open_page, page_file):
    with open_page(page_file) as page:
        row = page.locator("#runs tbody tr", has_text="half-finished")
        expect(row).to_contain_text("unfinished")
        go(page, row.locator("a").get_attribute("href"))
        drawn(page)
        assert "resume=never" not in page.locator(".command").text_content()


def test_every_figure_says_what_it_shows(open_page, page_file):
    with open_page(page_file, "#study/kernel_drift-quick") as page:
        drawn(page)
        described = page.evaluate("""[...document.querySelectorAll('.view:not([hidden]) .plot')].map(plot => [
            plot.getAttribute('role'), plot.getAttribute('aria-label'),
            document.getElementById(plot.getAttribute('aria-describedby')).textContent])""")
        assert len(described) == 2
        for role, label, words in described:
            assert role == "img" and "FCN" in label
            assert re.search(r"gaussian.*: from [\d.e-]+ \[[\d.e-]+, [\d.e-]+\] at 4 to [\d.e-]+ .* at 16", words)


def luminance(page) -> float:
    """Of the page's ground, 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


def test_dark_as_the_system_and_by_the_button(open_page, page_file):
    with open_page(page_file, "#study/kernel_drift-quick", color_scheme="dark") as page:
        assert luminance(page) < 0.15
        image = shot(drawn(page))
        assert pixels(image, SKY) > 50 and pixels(image, SKY) > pixels(image, BLUE)
        button = page.get_by_role("button", name="Dark")
        expect(button).to_have_attribute("aria-pressed", "true")
        button.click()
        assert luminance(page) > 0.95
        page.wait_for_timeout(500)
        image = shot(drawn(page))
        assert pixels(image, BLUE) > 50 and pixels(image, BLUE) > pixels(image, SKY)


def test_at_400_percent_only_tables_scroll_sideways(open_page, page_file):
    with open_page(page_file, viewport={"width": 320, "height": 640}) as page:
        for route in ("#runs", "#study/kernel_drift-quick", hash_of(page, "single/fcn"), ""):
            go(page, route) if route else None
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_print_is_light_and_has_every_chart(open_page, page_file):
    with open_page(page_file, color_scheme="dark") as page:
        open_run(page, "single/fcn")
        drawn(page)  # one; the others are below what is seen
        page.pdf(format="A4")
        plots = page.locator(".view:visible .plot")
        assert plots.count() > 8 and page.locator(".view:visible .plot .main-svg:first-child").count() >= plots.count()
        page.emulate_media(media="print", color_scheme="dark")
        assert luminance(page) == 1


def test_all_controls_can_be_reached_by_keyboard(open_page, page_file):
    with open_page(page_file, "#study/kernel_drift-quick") as page:
        drawn(page)
        page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
        seen = []
        for _ in range(60):
            page.keyboard.press("Tab")
            name, outline = page.evaluate("""(() => { const one = document.activeElement;
                if (one === document.body) return ['', ''];  // past the last one
                const name = one.getAttribute('aria-label') ?? one.textContent.trim();
                return [name, getComputedStyle(one).outlineStyle]; })()""")
            seen.append(name)
            assert name == "" or outline != "none", name
        for name in (
            "Skip to the content",
            "Overview",
            "Runs",
            "Dark",
            "gaussian, NTK",
            "log x",
            "Zoom in",
            "In words",
        ):
            assert name in seen


def test_a_watched_page_shows_what_is_new(open_page, real_runs, tmp_path):
    from orthontk.report.write import Reporter

    reporter = Reporter(real_runs, tmp_path)
    reporter.update()
    runs = reporter.found.runs
    reporter.found.runs = runs[:2]
    reporter.write(reload_after=1)
    with open_page(tmp_path / "index.html", "#runs") as page:
        shown = page.locator("#runs tbody tr").count()
        page.locator("#runs thead button").first.click()
        reporter.found.runs = runs
        reporter.write(reload_after=1)
        page.wait_for_function("before => document.querySelectorAll('#runs tbody tr').length > before", arg=shown)
        assert page.locator("#runs thead th").first.get_attribute("aria-sort") == "ascending"  # as it was left
        reporter.write()
        expect(page.locator("#reload")).to_have_count(0)
