"""Which runs a condition chooses, their order, and how values are shown."""

from pathlib import Path

import pytest
import yaml

from orthontk.checks import InvalidValue
from orthontk.runs.collect import Entry, flatten
from orthontk.runs.select import differing, headings, key_of, ordered, where
from orthontk.runs.texts import plain


def entries(**columns):
    """A run for each value of every column."""
    count = len(next(iter(columns.values())))
    return [Entry(Path(str(i)), {name: column[i] for name, column in columns.items()}) for i in range(count)]


def places(chosen):
    return [int(str(entry.directory)) for entry in chosen]


@pytest.mark.parametrize("condition", ["train/loss>5", "train/loss<5", "train/loss>=0", "train/loss<=1"])
def test_what_was_no_finite_number_is_neither_above_nor_below(condition):
    assert 0 not in places(where(entries(**{"train/loss": [None, 7.0, 0.5]}), [condition]))


def test_what_was_no_finite_number_can_be_asked_for():
    assert places(where(entries(**{"train/loss": [None, 7.0]}), ["train/loss=null"])) == [0]


@pytest.mark.parametrize("value", [0.0316228, 1 / 3, 1e-12, 123456.789, "20261127", "1_000", True, None, [7, 8]])
def test_a_setting_can_be_given_back_as_it_is_shown(value):
    found = entries(setting=[value, "another"])
    assert places(where(found, [f"setting={plain(value)}"])) == [0]


def test_a_text_that_looks_like_a_number_is_shown_as_it_is():
    assert plain("20261127") == "20261127" and plain("1_000") == "1_000"


@pytest.mark.parametrize("descending, order", [(False, [3, 1, 0, 2]), (True, [1, 3, 2, 0])])
def test_numbers_come_before_texts_in_either_direction(descending, order):
    found = entries(setting=["a", 2, "b", 1])
    assert places(ordered(found, "setting", descending)) == order


def test_the_last_word_of_a_setting_is_enough_where_runs_do_not_differ_in_it():
    found = entries(**{"model.width": [8, 8], "data.size": [0, 1], "optimizer.size": [0, 0]})
    assert places(where(found, ["width=8"])) == [0, 1]
    assert places(where(found, ["size=1"])) == [1]  # the one that differs


def test_the_seed_of_the_data_is_not_that_of_the_network():
    """Which an ensemble with a list of seeds does not have as a setting."""
    with pytest.raises(InvalidValue, match="--where=seed: expected a setting"):
        where(entries(**{"data.seed": [0, 1]}), ["seed=1"])


def test_a_setting_differs_among_the_runs_that_have_it():
    settings = [{"width": 8, "depth": 2, "seed": 0}, {"width": 8.0, "seed": 1}]
    assert differing(settings) == ["seed"]


@pytest.mark.parametrize(
    "before, now, found",
    [
        ({"optimizer": {"_target_": "SGD"}}, {"optimizer": {"_target_": "SGD", "decay": 1}}, ["optimizer.decay"]),
        ({"optimizer": {"_target_": "SGD"}}, {"optimizer": {"_target_": "Adam", "eps": 1}}, ["optimizer"]),
        ({"schedule": {}}, {"schedule": {"_target_": "StepLR", "gamma": 1}}, ["schedule"]),
        ({"trainer": {"max_steps": 5}}, {"trainer": {"max_steps": 5, "clip": 1}}, ["trainer.clip"]),
        ({"callbacks": {}}, {"callbacks": {"ntk": {"_target_": "NTK", "probe": {"size": 1}}}}, ["callbacks"]),
        ({"data": {"source": "mnist"}}, {"data": {"source": "mnist", "path": "x"}}, ["data.path"]),
        ({"data": {"source": "mnist"}}, {"data": {"source": "arrays", "path": "x"}}, ["data.source"]),
    ],
)
def test_a_key_that_some_runs_lack_differs_where_their_group_is_the_same(before, now, found):
    assert differing([flatten(before), flatten(now)]) == found
    assert differing([{"seed": 3}, flatten(now)]) == []  # a job that has not begun


def test_the_schedule_that_is_none_is_a_choice():
    runs = [
        Entry(Path("0"), flatten({"schedule": {}})),
        Entry(Path("1"), flatten({"schedule": {"_target_": "StepLR"}})),
    ]
    assert places(where(runs, ["schedule=constant"])) == [0] and places(where(runs, ["schedule=step"])) == [1]


CONF = Path(__file__).parents[2] / "conf"
CHOICES = [
    path
    for group in ("model", "init", "data", "optimizer", "loss", "schedule")
    for path in sorted((CONF / group).glob("*.yaml"))
    if path.stem != "constant"  # no object
]


@pytest.mark.parametrize("path", CHOICES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_a_group_stands_for_its_choice(path):
    group, choice = path.parent.name, path.stem
    config = yaml.safe_load(path.read_text())
    runs = [
        Entry(Path(str(place)), flatten({group: node}))
        for place, node in enumerate([config, {"_target_": "own.Other"}])
    ]
    assert places(where(runs, [f"{group}={choice}"])) == [0]
    assert places(where(runs, [f"{group}=Other"])) == [1]
    if group in ("model", "loss"):
        assert places(where(runs, [f"{group}={config['_target_'].rpartition('.')[2]}"])) == [0]
    assert list(headings([key_of("--show", group, runs)]).values()) == [group]


def test_the_last_word_of_a_setting_that_is_a_groups_choice_stands_for_it_too():
    assert key_of("--show", "source", entries(**{"data.source": ["mnist", "cifar10"]})) == "data.source"


def test_the_learning_rate_may_be_called_so():
    assert places(where(entries(**{"optimizer.lr": [0.1, 0.2]}), ["learning_rate=0.1"])) == [0]
    own = entries(**{"optimizer.lr": [0.1, 0.2], "learning_rate": [0.2, 0.1]})
    assert places(where(own, ["learning_rate=0.1"])) == [1]
    with pytest.raises(InvalidValue, match="--where=learning_rate: expected a setting"):
        where(entries(width=[8, 9]), ["learning_rate=0.1"])


@pytest.mark.parametrize(
    "condition, accepted",
    [
        ("status=done", "a status, one of finished, running, diverged"),
        ("test/accuracy>abc", "a number after >"),
        ("tau<60", "= or != for callbacks.tau, which is Tau, or a key with numbers, test/accuracy, train/tau"),
    ],
)
def test_a_condition_that_can_hold_for_no_run_is_refused(condition, accepted):
    one = {"status": "finished", "callbacks.tau": "Tau", "train/tau": 7.0, "test/accuracy": 0.5}
    with pytest.raises(InvalidValue) as refusal:
        where([Entry(Path("0"), one)], [condition])
    assert accepted in str(refusal.value)


def test_a_key_that_only_some_runs_have_is_no_mistake():
    runs = [Entry(Path("0"), {"width": 8}), Entry(Path("1"), {"width": 8, "train/tau": 7.0})]
    assert places(where(runs, ["train/tau<60"])) == [1]
