"""One damaged run is skipped and named; the page shows the others."""

import json

import pytest

from made_runs import make_run
from orthontk.report.gather import Run
from orthontk.report.run_page import figures_of, run_page
from orthontk.report.thin import Detail
from orthontk.report.write import report

DAMAGES = {
    "table of nothing": lambda run: (run / "metrics.csv").write_text("\0" * 200_000),
    "groups without their parts": lambda run: (run / "summary.json").write_text(
        json.dumps({"status": "finished", "groups": [{}], "metrics": {}})
    ),
    "groups that are no list": lambda run: (run / "summary.json").write_text(
        json.dumps({"status": "finished", "groups": 3, "metrics": {}})
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_it_is_named(tmp_path, damage):
    make_run(tmp_path / "a" / "whole")
    DAMAGES[damage](make_run(tmp_path / "a" / "damaged"))
    found = report(tmp_path, tmp_path / "report")
    assert [run.directory.name for run in found.found.runs] == ["whole"]
    assert "a/damaged</code>: " in (tmp_path / "report" / "index.html").read_text()


def test_kernels_that_cannot_be_read_have_no_figures(tmp_path):
    run = Run(make_run(tmp_path / "run"), {}, {})
    assert list(figures_of(run)) == ["learning_curves"]
    (run.directory / "ntk.safetensors").write_bytes(b"half")
    assert figures_of(run) == {} and run_page(run, "run", Detail())["heatmap"] is None


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError])
def test_a_mistake_in_a_figure_is_not_hidden(tmp_path, monkeypatch, error):
    def mistaken(*_):
        raise error

    monkeypatch.setattr("orthontk.report.run_page.run_figures", mistaken)
    with pytest.raises(error):
        figures_of(Run(make_run(tmp_path / "run"), {}, {}))


def test_unusual_settings_are_shown(tmp_path):
    run = make_run(tmp_path / "a" / "one", callbacks=["ntk", {"b": 1}])
    (run / "config.yaml").open("a").write("1: 2\nwhen: 2026-01-01\n")
    report(tmp_path, tmp_path / "report")
    assert ">a/one</a>" in (tmp_path / "report" / "index.html").read_text()
