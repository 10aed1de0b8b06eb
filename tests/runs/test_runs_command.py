"""`python -m orthontk.runs DIR` on real runs in every state."""

import csv
import io
import signal
import subprocess
import sys
from functools import partial

import pytest

from launched import launched
from small_run import SMALL


@pytest.fixture
def runs(run_module):
    return partial(run_module, "orthontk.runs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four runs that differ in width and initialization, of which one was killed and one is damaged; an ensemble."""
    root = tmp_path_factory.mktemp("runs")
    for own in (
        ["-m", "model.width=8,9,10", "init=gaussian,orthogonal"],
        ["-m", "name=refused", "+trainer.gradient_clip_val=high"],
        ["name=grid", "ensemble.seeds=2", "ensemble.learning_rates=[0.1,1e30]", "callbacks=[ntk,tau]", "loss=mse"],
    ):
        done = launched("model=fcn", *SMALL, f"paths.output_dir={root}", *own)
        assert done.returncode == ("name=refused" in own), done.stderr
    found = sorted((root / "default").glob("*n10*"))
    (found[0] / "summary.json").unlink()
    (found[1] / "config.yaml").write_text("[")
    return root


def table(printed):
    """The cells of each row, by heading."""
    lines = [line for line in printed.splitlines() if line and line[0] in "┃│"]
    cells = [[cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")] for line in lines]
    split = sum(line[0] == "┃" for line in lines)  # the heading has a line or two
    heading = [" ".join(filter(None, words)) for words in zip(*cells[:split], strict=True)]
    rows = cells[split:]
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_what_differs_and_every_state(runs, folder):
    code, printed = runs(folder / "default")
    assert code == 0 and not printed.err
    rows = table(printed.out)
    assert len(rows) == 6
    assert list(rows[0]) == [
        "run", "status", "width", "init", "train loss", "test accuracy", "ntk change", "time total",
    ]  # fmt: skip
    states = [row["status"] for row in rows]
    assert states.count("finished") == 4
    assert "interrupted, at step 6 of 6" in states and "unreadable" in states
    assert "6 runs: 4 finished, 1 interrupted, 1 unreadable" in printed.out
    assert ": config.yaml cannot be read" in printed.out
    for row in rows:  # the short name finds the folder, as the last line says
        assert len(list((folder / "default").glob(f"*-{row['run']}"))) == 1
    unfinished = next(row for row in rows if row["status"].startswith("interrupted"))
    assert float(unfinished["train loss"]) > 0 and not unfinished["time total"]


def test_a_failed_run_says_why(runs, folder):
    _, printed = runs(folder / "refused")
    (row,) = table(printed.out)
    assert row["status"] == "failed" and "gradient_clip_val" in printed.out and "1 run: 1 failed" in printed.out
    _, printed = runs(folder / "refused", "--where", "gradient_clip_val=high")
    assert "1 failed" in printed.out


def test_sorted_and_filtered(runs, folder):
    code, printed = runs(folder / "default", "--where", "init.scheme=orthogonal", "model.width<10", "--sort", "width")
    assert code == 0
    assert [row["width"] for row in table(printed.out)] == ["8", "9"]
    _, printed = runs(folder / "default", "--sort", "test/accuracy", "--descending")
    accuracies = [row["test accuracy"] for row in table(printed.out)]
    known = [float(value) for value in accuracies if value]
    assert known == sorted(known, reverse=True) and accuracies == [*accuracies[: len(known)], *[""] * (6 - len(known))]
    _, printed = runs(folder / "default", "--where", "status=finished", "--show", "seed", "ntk/effective_rank")
    assert all(row["seed"] == "0" and float(row["ntk effective_rank"]) > 0 for row in table(printed.out))
    code, printed = runs(folder / "default", "--where", "model.width>100")
    assert code == 0 and "No such run." in printed.out


def test_a_folder_named_like_a_setting(runs, tmp_path):
    (tmp_path / "lr=0.1").mkdir()
    _, printed = runs(tmp_path / "lr=0.1", "--where", "status=finished")
    assert "expected before all" not in printed.err and str(tmp_path / "lr=0.1") in printed.out + printed.err


def test_csv_holds_everything(runs, folder):
    code, printed = runs(folder / "default", "--csv")
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert code == 0 and len(rows) == 6
    assert {"directory", "status", "model.width", "init.scheme", "ntk/alignment", "val/loss"} <= rows[0].keys()
    finished = [row for row in rows if row["status"] == "finished"]
    assert all(0 <= float(row["test/accuracy"]) <= 1 for row in finished)


def test_an_ensemble_is_a_row_for_each_kind_of_replica(runs, folder):
    _, printed = runs(folder / "grid")
    tame, wild = table(printed.out)
    assert (tame["lr"], tame["replicas"], tame["status"]) == ("0.1", "2", "finished")
    assert tame["train tau"] == "never +2" or float(tame["train tau"].split(" +")[0]) > 0
    assert wild["lr"] == "1e+30" and wild["status"] == "diverged, 2 of 2 replicas diverged"


@pytest.mark.parametrize(
    "arguments, line",
    [
        (["nowhere"], "DIR=nowhere: expected a folder of runs"),
        (["{empty}"], "expected a folder with runs"),
        (["{folder}", "--sort", "accurracy"], "--sort=accurracy: expected a setting such as model.width, or one of"),
        (["{folder}", "--where", "model.width"], "--where=model.width: expected KEY=VALUE"),
        (["{folder}", "--where", "model.width>>3"], "--where=model.width>>3: expected KEY=VALUE"),
        (["{folder}", "--where", "model.width==3"], "--where=model.width==3: expected KEY=VALUE"),
        (["{folder}", "--where", "widht=8"], "--where=widht: expected"),
    ],
)
def test_refusals(runs, folder, tmp_path, arguments, line):
    code, printed = runs(*(argument.format(empty=tmp_path, folder=folder) for argument in arguments))
    assert code == 1 and line in printed.err and printed.err.count("\n") == 1


def test_a_closed_pipe_is_no_error(folder):
    command = f"{sys.executable} -m orthontk.runs {folder} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGPIPE % 256, 128 + signal.SIGPIPE) and not done.stderr
    assert done.stdout.count("\n") == 1
