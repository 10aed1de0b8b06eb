"""The table in the terminal: every cell under its heading, every run by a name of its own, and counted once."""

import csv
import io
from pathlib import Path

import pytest

from orthontk.runs.collect import Entry
from orthontk.runs.show import show, write_csv

FINISHED = {"status": "finished", "model.width": 8, "optimizer.lr": 0.1, "seed": 0, "test/loss": 0.25}
ENTRIES = [Entry(Path("a/one"), FINISHED), Entry(Path("a/two"), FINISHED | {"model.width": 9, "test/loss": 0.5})]


def shown(capsys, entries, extra=()):
    """The headings, the cells of each row, and the lines below."""
    show(entries, Path("a"), extra)
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("┃│").replace("┃", "│").split("│")] for line in lines if "│" in line]
    headings = [line.strip("┃").split("┃") for line in lines if "┃" in line]
    titles = [" ".join(filter(None, map(str.strip, words))) for words in zip(*headings, strict=True)]
    return titles, rows, lines


@pytest.mark.parametrize(
    "extra, further",
    [
        (["test/loss", "test/loss"], {"test loss": "0.25"}),
        (["model.width", "model.width", "optimizer.lr"], {"lr": "0.1"}),
        (["status"], {}),
    ],
)
def test_a_column_asked_for_twice_is_there_once(capsys, extra, further):
    titles, rows, _ = shown(capsys, ENTRIES, extra)
    assert sorted(titles) == sorted(["run", "status", "width", *further])
    assert dict(zip(titles, rows[0], strict=True)) == {"run": "one", "status": "finished", "width": "8"} | further
    write_csv(ENTRIES, extra)
    heading = next(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert len(heading) == len(set(heading))


def test_a_learning_rate_that_was_found_is_rounded_where_it_is_shown(capsys):
    found = [
        Entry(entry.directory, entry.values | {"optimizer.lr": rate, "optimizer.lr_fraction": 0.5})
        for entry, rate in zip(ENTRIES, (0.27208028494032965, 0.1), strict=True)
    ]
    titles, rows, _ = shown(capsys, found)
    assert rows[0][titles.index("lr")] == "0.2721"
    write_csv(found)
    assert "0.27208028494032965" in capsys.readouterr().out


def test_the_number_of_replicas_is_there_once(capsys):
    replicas = [Entry(entry.directory, entry.values | {"replicas": 3}) for entry in ENTRIES]
    titles, rows, _ = shown(capsys, replicas, ["replicas"])
    assert titles == ["run", "status", "width", "replicas"] and rows[0][3] == "3"


@pytest.mark.parametrize("order", [1, -1])
def test_an_ensemble_is_counted_once_however_it_is_sorted(capsys, order):
    """It has diverged if all its kinds of replicas have."""
    kinds = [Entry(Path("a/grid"), {"status": status, "optimizer.lr": lr, "replicas": 2}, "") for status, lr in
             (("finished", 0.1), ("diverged", 9.0))]  # fmt: skip
    *_, lines = shown(capsys, kinds[::order])
    assert "1 run: 1 finished" in lines
    *_, lines = shown(capsys, kinds[1:])
    assert "1 run: 1 diverged" in lines


@pytest.mark.parametrize(
    "directories, names",
    [
        (["a/fcn-n8-0123abcd", "a/fcn-n9-4567abcd-2"], ["0123abcd", "4567abcd-2"]),
        (["a/base-20240101", "a/wide-20240101", "a/fcn-0123abcd"], ["base-20240101", "wide-20240101", "0123abcd"]),
        (["a/fcn-0123abcd", "b/fcn-0123abcd"], ["0123abcd", "0123abcd"]),  # in folders of two names
        (["a/fcn-0123abcd", "a/fcn-0123abcd"], ["0123abcd", "0123abcd"]),  # two rows of an ensemble
    ],
)
def test_a_name_is_shortened_where_it_stays_one(capsys, directories, names):
    _, rows, lines = shown(capsys, [Entry(Path(directory), FINISHED) for directory in directories])
    assert [row[0] for row in rows] == names
    assert any(line.startswith("The folder of a run: ") for line in lines)
