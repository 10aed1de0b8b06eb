"""Each refusal names the argument, shows the value and says what is accepted; each has a neighbour that passes."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthontk.checks import InvalidValue, boolean, check_seed, integer, number, one_of


@settings(deadline=None, derandomize=True)
@given(st.integers(min_value=1))
def test_integers_from_the_minimum_on_pass(value):
    assert integer("width", value) == value


@settings(deadline=None, derandomize=True)
@given(st.integers(max_value=0) | st.floats() | st.booleans() | st.text() | st.none())
def test_everything_else_is_refused(value):
    with pytest.raises(InvalidValue) as refusal:
        integer("width", value)
    assert str(refusal.value) == f"width={value}: expected an integer of at least 1"


@pytest.mark.parametrize("width", 2 ** np.arange(3, 6))
def test_numpy_integers_become_ints(width):
    assert type(integer("width", width)) is int


def test_a_minimum_of_its_own():
    assert integer("steps", 0, minimum=0) == 0
    with pytest.raises(InvalidValue, match=r"^steps=-1: expected an integer of at least 0$"):
        integer("steps", -1, minimum=0)


def test_seeds_are_those_of_torch():
    assert check_seed("seed", 2**63 - 1) == 2**63 - 1 and check_seed("seed", 0) == 0
    for value, accepted in ((-1, "of at least 0"), (2**63, r"below 2\^63"), (True, "of at least 0")):
        with pytest.raises(InvalidValue, match=rf"^seed={value}: expected an integer {accepted}$"):
            check_seed("seed", value)


@settings(deadline=None, derandomize=True)
@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300))
def test_finite_numbers_pass_as_floats(value):
    result = number("lr", value)
    assert type(result) is float and result == float(value)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), Fraction(1, 2)])
def test_other_real_types_pass(value):
    assert number("lr", value, above=0) == 0.5


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, 10**400, -(10**400), True, "0.1", None, 1j, [0.1]], ids=repr
)
def test_anything_but_a_finite_number_is_refused(value):
    with pytest.raises(InvalidValue, match=r"expected a finite number$"):
        number("lr", value)


def test_above_excludes_its_bound_and_minimum_includes_it():
    assert number("bias_var", 0, minimum=0) == 0.0
    assert number("lr", math.ulp(0), above=0) == math.ulp(0)
    with pytest.raises(InvalidValue, match=r"^lr=0: expected a finite number above 0$"):
        number("lr", 0, above=0)
    with pytest.raises(InvalidValue, match=r"^bias_var=-0\.1: expected a finite number of at least 0$"):
        number("bias_var", -0.1, minimum=0)


def test_one_of_lists_what_is_accepted():
    assert one_of("padding", "zeros", ("circular", "zeros")) == "zeros"
    for value in ("Zeros", "", None, 0, ["zeros"]):
        with pytest.raises(InvalidValue, match=r"expected one of circular, zeros$"):
            one_of("padding", value, ("circular", "zeros"))


def test_only_true_and_false_are_booleans():
    assert boolean("figures", True) is True and boolean("figures", False) is False
    for value in (0, 1, "true", None):
        with pytest.raises(InvalidValue, match=f"^figures={value}: expected true or false$"):
            boolean("figures", value)


def test_a_generator_of_accepted_names_is_enough():
    assert one_of("padding", "zeros", (name for name in ("circular", "zeros"))) == "zeros"


def test_within_prefixes_the_config_group():
    refusal = InvalidValue("width", 0, "an integer of at least 1").within("model")
    assert str(refusal) == "model.width=0: expected an integer of at least 1"
    assert (refusal.name, refusal.value, refusal.accepted) == ("model.width", 0, "an integer of at least 1")


def test_a_refusal_survives_pickling():
    refusal = pickle.loads(pickle.dumps(InvalidValue("width", 0, "an integer of at least 1")))
    assert isinstance(refusal, InvalidValue) and isinstance(refusal, ValueError)
    assert str(refusal) == "width=0: expected an integer of at least 1" and refusal.name == "width"
