"""Sets whose classes differ in size, as MNIST's do: a class-balanced sample of all inputs there is not."""

import pytest
import torch

from orthontk.callbacks import JacobianSpectrum, KernelConvergence, NTKRecorder, Prediction
from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule
from orthontk.data.split import Split
from orthontk.run.learning_rate import inputs_of


@pytest.fixture
def data():
    """Of 960 inputs each, of which the last class has 60 and all others 100."""
    data = TensorDataModule("gaussian", shape=(2,), classes=10, train_size=1000, test_size=1000, batch_size=900)
    for name, split in data.splits.items():
        kept = torch.ones(1000, dtype=torch.bool)
        kept[torch.nonzero(split.labels == 9).flatten()[:40]] = False
        data.splits[name] = Split(split.images[kept], split.labels[kept], split.indices[kept])
    return data


@pytest.mark.parametrize(
    "callback, key, most",
    [
        (lambda size: Prediction(test_size=size), "test_size", 609),
        (lambda size: JacobianSpectrum(inputs=size), "inputs", 609),
        (lambda size: KernelConvergence(inputs=size), "inputs", 609),
        (lambda size: NTKRecorder(probe_size=size), "probe_size", 609),
    ],
)
def test_a_callback_refuses_a_larger_sample_by_its_own_key(data, callback, key, most):
    data.batch_size = "full"
    callback(most).check_data(data)
    with pytest.raises(InvalidValue, match=rf"^{key}={most + 1}: expected at most {most} \(class-balanced\)"):
        callback(most + 1).check_data(data)


def test_the_largest_rate_is_of_as_many_inputs_as_a_batch_has(data, monkeypatch):
    """In a random order where the classes do not go together, and the same ones each time."""
    monkeypatch.setattr("orthontk.run.learning_rate.SAMPLE", 10)
    x = inputs_of(data)
    assert len(x) == 900 and torch.equal(x, inputs_of(data)) and not torch.equal(x, data.train.images[:900])
    data.batch_size = 600
    assert torch.equal(inputs_of(data), data.probe(600)[0])
