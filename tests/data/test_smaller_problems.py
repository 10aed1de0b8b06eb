"""Two classes, one output, and images of fewer pixels."""

import pytest
import torch

from orthontk.checks import InvalidValue
from orthontk.data import TensorDataModule


def test_only_the_kept_classes_in_their_order():
    everything = TensorDataModule("mnist_5k", val_size=0)
    data = TensorDataModule("mnist_5k", val_size=0, keep_classes=[7, 3], train_size=20, batch_size="full")
    assert data.classes == 2 and data.train.labels.bincount().tolist() == [10, 10]
    test = everything.test
    for number, label in enumerate((7, 3)):
        assert torch.equal(data.test.images[data.test.labels == number], test.images[test.labels == label])


@pytest.mark.parametrize(
    "kept", [[3], [3, 3], [3, 10], [-1, 3], "3", 3, 3.5, [], [[0], [1]], [True, False], [0, 1.0], ["0", "1"], [0, None]]
)
def test_refused_classes(kept):
    with pytest.raises(InvalidValue, match="two or more of the labels 0 to 9"):
        TensorDataModule("mnist_5k", keep_classes=kept)


def test_gaussian_inputs_have_no_classes_to_keep():
    with pytest.raises(InvalidValue, match="keep_classes"):
        TensorDataModule("gaussian", shape=(4,), classes=2, train_size=4, test_size=4, keep_classes=[0, 1])


def test_pixels_are_averaged():
    whole, small = (TensorDataModule("mnist_5k", train_size=10, pool=pool, batch_size="full") for pool in (1, 4))
    assert small.input_shape == (1, 7, 7)
    corner = whole.train.images[:, :, :4, 4:8].mean((2, 3))
    assert torch.allclose(small.train.images[:, :, 0, 1], corner, atol=1e-6)


@pytest.mark.parametrize("pool", [0, 29, 1.5, 15, 3])
def test_refused_pools(pool):
    with pytest.raises(InvalidValue, match="pool="):
        TensorDataModule("mnist_5k", train_size=10, pool=pool, batch_size="full").train  # noqa: B018, read at its first use


def test_a_pool_that_leaves_pixels_over_is_refused_with_those_that_do_not():
    with pytest.raises(InvalidValue, match=r"^pool=15: expected one of 1, 2, 4, 7, 14, 28, "):
        TensorDataModule("mnist_5k", train_size=10, pool=15, batch_size="full").setup()
    oblong = TensorDataModule("gaussian", shape=(1, 4, 6), classes=2, train_size=4, test_size=4, batch_size=4, pool=2)
    assert oblong.input_shape == (1, 2, 3)


def test_one_output_for_two_classes(small):
    run = small("data.keep_classes=[0,1]", "model.out_features=1", "loss=mse").run_directory
    state = torch.load(next((run / "checkpoints").iterdir()), weights_only=True)["state_dict"]
    assert state["network.layers.2.weight"].shape == (1, 8)


def test_one_output_is_refused_for_ten_classes(small):
    result = small("model.out_features=1", "loss=mse")
    assert result.code == 1
    assert result.err == "error: model.out_features=1: expected null or 10, the number of classes\n"
