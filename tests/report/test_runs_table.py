"""The page's table of runs: τ, and that one never came, is told from not having been looked for."""

import csv
import json
import re

from made_runs import make_run
from orthontk.report.tables import write_tables
from orthontk.report.write import Reporter


def with_metrics(folder, **metrics):
    run = make_run(folder)
    summary = json.loads((run / "summary.json").read_text())
    (run / "summary.json").write_text(json.dumps(summary | {"metrics": metrics}))


def reporter_of(root):
    """On a run with a τ, one without, one that looked for none, and an ensemble with a τ in 3 of 5 replicas."""
    with_metrics(root / "a" / "reached", **{"train/tau": 7.0, "train/censored": 0.0})
    with_metrics(root / "a" / "never", **{"train/censored": 1.0, "test/censored": 1.0})
    with_metrics(root / "a" / "other")
    tau = {"mean": 9.0, "standard_error": 1.0, "uncensored": 3, "censored": 2}
    group = {"init": "gaussian", "learning_rate": 0.1, "replicas": 5, "diverged": 0, "train/tau": tau}
    ensemble = make_run(root / "a" / "several")
    (ensemble / "summary.json").write_text(json.dumps({"status": "finished", "groups": [group], "metrics": {}}))
    reporter = Reporter(root, root / "report")
    reporter.update()
    (root / "report").mkdir()
    return reporter


def test_the_page_counts_what_is_censored(tmp_path):
    reporter = reporter_of(tmp_path)
    reporter.write()
    page = (tmp_path / "report" / "index.html").read_text()
    assert ">test τ</button>" in page  # although no run has one
    rows = re.findall(r'<tr><th scope="row"><a href="#run/\d">a/(\w+)</a>(.*)</tr>', page)
    cells = {name: re.findall(r"<td[^>]*>([^<]*)</td>", row) for name, row in rows}
    taus = {name: row[-2:] for name, row in cells.items()}
    assert taus == {"reached": ["7", ""], "never": ["never", "never"], "other": ["", ""], "several": ["9 +2", ""]}
    assert 'data-value="9">9 +2</td>' in page  # which sorting and comparisons use


def test_the_table_has_columns_of_what_is_censored(tmp_path):
    reporter = reporter_of(tmp_path)
    runs = reporter.runs()
    path, _ = write_tables(runs, reporter.labels(runs), tmp_path)
    found = {row["run"]: (row["train/tau"], row["train/censored"]) for row in csv.DictReader(path.open())}
    assert found == {"a/reached": ("7.0", "0"), "a/never": ("", "1"), "a/other": ("", ""), "a/several": ("9.0", "2")}
