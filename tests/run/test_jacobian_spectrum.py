"""What Jacobians are refused before a run starts."""

from types import SimpleNamespace

import pytest
import torch

from orthontk.callbacks import JacobianSpectrum
from orthontk.callbacks.jacobian_spectrum import LARGEST
from orthontk.checks import InvalidValue
from orthontk.networks import CNN, FCN


def accepts(network) -> bool:
    try:
        JacobianSpectrum().check_module(SimpleNamespace(network=network))
    except InvalidValue as error:
        assert "data.pool" in str(error) and "model.width" in str(error)
        return False
    return True


def test_jacobians_too_large_for_memory_are_refused():
    """That of a CNN has a row for every channel at every position."""
    with torch.device("meta"):
        assert accepts(FCN(4, 2, width=LARGEST, depth=3)) and not accepts(FCN(4, 2, width=LARGEST + 1, depth=3))
        assert accepts(CNN(1, 20, 2, width=LARGEST // 400, depth=3))
        assert not accepts(CNN(1, 20, 2, width=LARGEST // 400 + 1, depth=3))


def test_networks_with_one_hidden_layer_are_refused():
    with pytest.raises(InvalidValue, match="inputs=5: expected an FCN or CNN of at least three"):
        JacobianSpectrum().check_module(SimpleNamespace(network=FCN(4, 2, width=3, depth=2)))
