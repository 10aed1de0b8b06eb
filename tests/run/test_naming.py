"""A refusal says which part of the configuration it comes from, and names no key that nobody gave."""

import pytest
from hydra.utils import instantiate
from torch import nn

from orthontk.run.settings import InvalidSetting, naming


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bias_": True}, r"^model\.bias_: no such key, as Linear does not take it$"),
        ({"width": 3}, r"^model: Linear\.__init__\(\) got an unexpected keyword argument 'bias_' at .*naming\.py:\d+$"),
    ],
)
def test_a_key_that_is_not_taken(given, message):
    """A network may call its layers wrongly by itself."""
    with pytest.raises(InvalidSetting, match=message), naming("model", given):
        nn.Linear(2, 2, bias_=True)


def test_a_key_that_is_not_taken_is_told_those_that_are():
    node = {"_target_": "torch.nn.LayerNorm", "normalized_shape": 2, "epps": 1}
    with (
        pytest.raises(InvalidSetting, match=r"^model\.epps: .*; it takes normalized_shape, eps, .*bias"),
        naming("model"),
    ):
        instantiate(node)


def test_the_keys_of_what_calls_another_wrongly_are_not_told():
    node = {"_target_": f"{__name__}.Calling"}
    with (
        pytest.raises(InvalidSetting, match=r"^model\.bias_: no such key, as Linear does not take it$"),
        naming("model"),
    ):
        instantiate(node)


class Calling(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2, bias_=True)
