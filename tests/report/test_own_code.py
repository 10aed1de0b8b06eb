"""Where in a user's own code an error was raised."""

import json

import pytest

from orthontk.checks import InvalidValue, integer
from orthontk.own_code import in_own_code
from orthontk.studies.from_settings import study_class


@pytest.mark.parametrize("call, kind", [(lambda: json.loads("{"), ValueError), (lambda: integer("a", 0), InvalidValue)])
def test_it_is_the_line_that_called_this_package_or_a_library(call, kind):
    with pytest.raises(kind) as raised:
        call()
    assert in_own_code(raised.value) == f" at {__file__}:{call.__code__.co_firstlineno}"


def test_an_error_that_was_not_raised_in_a_file_is_nowhere():
    with pytest.raises(NameError) as raised:
        exec("nothing_of_that_name")
    raised.value.__traceback__ = raised.value.__traceback__.tb_next
    assert in_own_code(raised.value) == "" and in_own_code(ValueError()) == ""


def test_a_study_whose_module_is_elsewhere_says_how_it_is_found():
    with pytest.raises(InvalidValue, match=r"No module named 'nowhere'; PYTHONPATH=FOLDER finds it"):
        study_class("nowhere.Study")
