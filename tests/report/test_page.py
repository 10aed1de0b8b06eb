"""The page as a file: what is in it, and how it is kept up to date. In a browser it has tests of its own."""

import base64
import csv
import gzip
import json
import os
import re
import shutil
import time

import pytest

import orthontk
from made_runs import make_drift, make_run
from orthontk.checks import InvalidValue
from orthontk.figures.draw_panels import print_panels
from orthontk.figures.panels import Axis, Panel, PanelFigure, Series
from orthontk.report import gather as gathering
from orthontk.report import run_page
from orthontk.report.judge import Judged
from orthontk.report.page import write_page
from orthontk.report.prints import write_prints
from orthontk.report.rerun import rerun_command
from orthontk.report.thin import places
from orthontk.report.write import Reporter, report

EVIL = "<img src=x onerror=alert(1)>"


def page_of(folder, **settings):
    reporter = Reporter(folder, folder / "report")
    reporter.update()
    reporter.write(**settings)
    return (folder / "report" / "index.html").read_text()


def packed_in(page, id_):
    text = re.search(rf'<script type="text/plain" class="packed" id="{id_}">([^<]*)</script>', page)[1]
    return gzip.decompress(base64.b64decode(text)).decode()


def test_names_and_settings_are_text(tmp_path):
    make_run(tmp_path / "a" / EVIL, model={"activation": "</script><script>alert(2)</script>"})
    make_run(tmp_path / "a" / "plain", model={"activation": "tanh"})
    page = page_of(tmp_path)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page and "<img" not in page
    assert "&lt;/script&gt;&lt;script&gt;alert(2)" in page and "alert(2)</script>" not in page
    data = json.loads(packed_in(page, "run-0"))
    assert data["label"] == f"a/{EVIL}" and "alert(2)" in data["config"]


def test_no_address_is_named_outside_what_plotly_packs(tmp_path):
    make_run(tmp_path / "a" / "run")
    page = page_of(tmp_path)
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:|//)", page)
    assert "default-src 'none'" in page
    assert "window.Plotly = Plotly" in packed_in(page, "plotly")


def test_curves_are_thinned_and_keep_their_ends(tmp_path):
    make_run(tmp_path / "a" / "run", steps=5000)
    page = page_of(tmp_path)
    (figure,) = json.loads(packed_in(page, "run-0"))["figures"]
    (series,) = figure["panels"][0]["series"]
    assert 100 < len(series["x"]) <= 200 and (series["x"][0], series["x"][-1]) == (0, 5000)
    assert series["y"][:2] == [1, 0.5] and series["y"][-1] == 0.0002
    assert "from 1 at 0 to 0.0002 at 5000" in figure["words"][0]


def test_unfinished_and_damaged_runs(tmp_path):
    make_run(tmp_path / "a" / "done")
    make_run(tmp_path / "a" / "begun", step=3)
    (make_run(tmp_path / "a" / "damaged") / "metrics.csv").write_text("step,a\n0,x\n")
    page = page_of(tmp_path)
    assert re.search(r">a/begun</a></th><td>unfinished</td>", page)
    assert "damaged</code>: metrics.csv cannot be read" in page
    assert json.loads(packed_in(page, "run-0"))["status"] == "unfinished"


def test_a_failed_run_is_listed_with_its_reason(tmp_path):
    make_run(tmp_path / "a" / "done")
    failed = make_run(tmp_path / "a" / "failed", step=3)
    reporter = Reporter(tmp_path, tmp_path / "report")
    reporter.update()
    (failed / "failure.txt").write_text("optimizer.lr=-1: expected <a> number above 0\n\nTraceback …\n")
    reporter.update()  # which sees that the run has changed
    (tmp_path / "report").mkdir()
    page = write_page(reporter).read_text()
    assert re.search(r">a/failed</a></th><td>failed</td>", page)
    assert "a/failed</code>: failed: optimizer.lr=-1: expected &lt;a&gt; number above 0</li>" in page


def test_a_column_for_replicas_only_where_there_are_some(tmp_path):
    make_run(tmp_path / "a" / "run")
    assert ">replicas</button>" not in page_of(tmp_path)


def test_the_page_reloads_itself_only_while_it_is_watched(tmp_path):
    make_run(tmp_path / "a" / "run")
    assert '"reload": 5' in page_of(tmp_path, reload_after=5) and '"reload": null' in page_of(tmp_path)


def test_only_what_has_changed_is_read_again(tmp_path, monkeypatch):
    for name in "abc":
        make_run(tmp_path / "x" / name, step=3 if name == "c" else None)
    read, original = [], gathering._read
    monkeypatch.setattr(gathering, "_read", lambda directory: read.append(directory.name) or original(directory))
    reporter = Reporter(tmp_path, tmp_path / "report")
    reporter.update()
    assert read == ["a", "b", "c"]
    reporter.write()
    kept = {file: file.stat().st_mtime_ns for file in (tmp_path / "report" / ".runs").iterdir()}
    assert len(kept) == 3
    (tmp_path / "x" / "c" / "metrics.csv").write_text("step,train/loss\n0,1.0\n9,0.25\n")
    reporter.update()
    assert read == ["a", "b", "c", "c"] and reporter.found.unfinished[0].at_end("train/loss") == 0.25
    write_page(reporter)
    changed = [file for file, before in kept.items() if file.stat().st_mtime_ns != before]
    assert len(changed) == 1
    shutil.rmtree(tmp_path / "x" / "c")
    reporter.update()
    write_page(reporter)
    assert [file for file in kept if not file.exists()] == changed  # nothing is kept of a run that is gone


def test_pages_are_made_again_by_other_code(tmp_path, monkeypatch):
    """Whatever part of the package has changed."""
    (tmp_path / "package" / "kernels").mkdir(parents=True)
    (file := tmp_path / "package" / "kernels" / "measures.py").write_text("")
    monkeypatch.setattr(orthontk, "__file__", str(tmp_path / "package" / "__init__.py"))
    before = run_page._code.__wrapped__()
    os.utime(file, (1, 1))
    assert run_page._code.__wrapped__() != before


def test_brackets_in_a_folders_name_are_printed(tmp_path, capsys):
    folder = tmp_path / "b[old]x[/y]"
    make_run(folder / "a" / "run")
    report(folder, folder / "report")
    printed = capsys.readouterr().out
    assert printed == f"Report: {folder}/report/index.html\n"  # and no empty table of claims


def test_a_thinned_curve_keeps_its_spikes():
    values = [1.0] * 5000
    values[1234], values[4321] = 100.0, -3.0
    assert {0, 1234, 4321, 4999} <= set(places(values, 200)) and len(places(values, 200)) <= 200


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    make_run(tmp_path / "a" / "begun", step=3)
    with pytest.raises(InvalidValue, match=r"expected a folder with finished runs \(skipped: begun: not finished"):
        report(tmp_path, tmp_path / "report")


def test_a_study_whose_runs_all_diverged_is_not_judged_and_the_page_is_written(tmp_path):
    for width in (4, 8):
        make_drift(tmp_path, "FCN", width, "nan")
    report(tmp_path, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert "study drift, scale quick</code>: not judged, as all of its 2 runs diverged</li>" in page
    assert all(re.search(rf">drift/FCN-{width}</a></th><td>diverged</td>", page) for width in (4, 8))
    assert "all of its 2 runs diverged" in (tmp_path / "report" / "claims.md").read_text()


def test_a_panel_of_diverged_runs_leaves_the_others_judged(tmp_path):
    for width in (4, 8, 16):
        make_drift(tmp_path, "FCN", width, 1 / width)
        make_drift(tmp_path, "CNN", width, "nan")
    (study,) = report(tmp_path, tmp_path / "report").judged
    unjudged, *others = study.claims
    assert unjudged.where == "CNN erf L=2 gaussian" and "needs networks that did not diverge" in unjudged.verdict
    assert {claim.where for claim in others} == {"FCN erf L=2 gaussian", "FCN erf L=2 gaussian n=16"}
    assert study.image.exists()


def test_the_command_of_a_run(tmp_path):
    make_run(tmp_path / "a" / "done", overrides=["callbacks=[ntk,tau]", "seed=3", "resume=auto"])
    make_run(tmp_path / "a" / "begun", step=2, overrides=["seed=4"])
    (make_run(tmp_path / "a" / "lost") / "provenance.json").unlink()
    commands = {run.directory.name: rerun_command(run) for run in runs_in(tmp_path)}
    assert commands["done"] == "python train.py 'callbacks=[ntk,tau]' seed=3 resume=never"
    assert commands["begun"] == "python train.py seed=4"
    assert commands["lost"].startswith(f"python train.py --config-path={tmp_path}/a/lost --config-name=config.yaml")


def runs_in(folder):
    found = gathering.gather(folder)
    return [*found.runs, *found.unfinished]


def test_tidy_tables(tmp_path):
    make_run(tmp_path / "a" / "one", seed=1)
    make_run(tmp_path / "a" / "two", seed=2, step=1)
    reporter = Reporter(tmp_path, tmp_path / "report")
    reporter.update()
    (tmp_path / "report").mkdir()
    paths = reporter.write_files(pdf=None, csv=True)
    runs, curves = ([*csv.DictReader(path.open())] for path in paths)
    assert [(row["run"], row["seed"], row["status"]) for row in runs] == [
        ("a/one", "1", "finished"),
        ("a/two", "2", "unfinished"),
    ]
    assert len(curves) == 11 + 2 and {row["metric"] for row in curves} == {"train/loss"}
    assert curves[-1] == {"run": "a/two", "seed": "2", "init": "", "learning_rate": "0.1", "step": "1",
                          "metric": "train/loss", "value": "0.5"}  # fmt: skip


def test_prints_have_a_columns_width_and_their_fonts(tmp_path):
    series = [Series(name, [1, 10], [1, 2], low=[0.5, 1], high=[2, 3]) for name in ("gaussian", "orthogonal")]
    figure = PanelFigure([Panel("FCN, τ", Axis("width n", "log"), Axis("error", "log"), series)])
    write_prints([Judged("speed", "quick", "digits", 2, [], [], figure)], [], [], tmp_path)
    (path,) = tmp_path.rglob("*.pdf")
    content = path.read_bytes()
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", content)[1])
    assert path == tmp_path / "speed-quick" / "01-FCN.pdf" and width == 3.25 * 72
    assert b"/FontFile2" in content and b"/Subtype /Image" not in content  # outlines, nothing of dots


def test_prints_of_other_titles_do_not_stay(tmp_path):
    for title in ("depth 3", "depth 4"):
        figure = PanelFigure([Panel(title, Axis("x"), Axis("y"), [Series("a", [0, 1], [0, 1])])])
        print_panels(figure, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["01-depth_4.pdf"]


@pytest.mark.slow
def test_weight_and_time_for_many_runs(tmp_path):
    for number in range(1000):
        make_run(tmp_path / "a" / f"run{number}", seed=number, steps=300)
    start = time.monotonic()
    page = page_of(tmp_path)
    assert len(page) < 12e6 and time.monotonic() - start < 120
