"""A refusal says which part of the configuration it comes from, and names no key that nobody gave."""

import pytest
from torch import nn

from orthontk.run.settings import InvalidSetting, naming


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bias_": True}, r"^model\.bias_: no such key, as Linear does not take it$"),
        ({"width": 3}, r"^model: Linear\.__init__\(\) got an unexpected keyword argument 'bias_'$"),
    ],
)
def test_a_key_that_is_not_taken(given, message):
    """A network may call its layers wrongly by itself."""
    with pytest.raises(InvalidSetting, match=message), naming("model", given):
        nn.Linear(2, 2, bias_=True)
