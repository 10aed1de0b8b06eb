"""What a GPU is told about float32 products while a run trains, and afterwards."""

import pytest
import torch

from orthontk.kernels.precision import exact_arithmetic
from orthontk.run.arithmetic import training_arithmetic
from orthontk.training import TrainingModule

PLACES = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)


def settings():
    cudnn = torch.backends.cudnn
    return [place.fp32_precision for place in PLACES], cudnn.deterministic, cudnn.benchmark


@pytest.mark.parametrize("tf32", [False, True])
def test_one_precision_for_all_layers_and_the_same_bits_again(tf32):
    before = settings()
    with training_arithmetic(tf32):
        assert settings() == (["tf32" if tf32 else "ieee"] * 3, True, False)
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")  # which Lightning asks
        with exact_arithmetic(torch.device("cpu")):
            assert settings()[0] == ["ieee"] * 3
        assert settings()[0] == ["tf32" if tf32 else "ieee"] * 3
        assert torch.get_float32_matmul_precision() == ("high" if tf32 else "highest")
    assert settings() == before


@pytest.mark.parametrize("tf32", [False, True])
def test_it_holds_while_a_run_trains(small, monkeypatch, tf32):
    before, seen, original = settings(), [], TrainingModule.training_step

    def training_step(self, batch, batch_index):
        seen.append(settings())
        return original(self, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    result = small(f"trainer.tf32={str(tf32).lower()}")
    assert result.code == 0, result.err
    assert seen == [(["tf32" if tf32 else "ieee"] * 3, True, False)] * 6
    assert settings() == before
