"""Tests of this folder run where PyTorch sees a GPU; `make test-gpu` refuses to run elsewhere."""

import pytest
import torch


@pytest.fixture(autouse=True)
def gpu():
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no GPU here")
