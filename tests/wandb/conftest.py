"""What tests of W&B share: a backend on loopback."""

import pytest
from wandb_backend import Backend


@pytest.fixture
def backend():
    with Backend() as started:
        yield started
