"""The loss of a whole split, whatever batches it is evaluated in, of single runs and of ensembles."""

import pytest
import torch
from ensemble_runs import assert_curves_agree, curves, single_curve
from torch import nn

from orthontk.ensemble.stack import replica_losses
from orthontk.training import OneHotMSE
from orthontk.training.whole_split import loss_of_terms, loss_terms

CROSS_ENTROPY = "loss._target_=torch.nn.CrossEntropyLoss"
WEIGHTS = ("+loss.weight._target_=torch.tensor", "+loss.weight.data=[1.0,2.0,3.0,0.0,5.0,6.0,7.0,8.0,9.0,10.0]")


class OwnCrossEntropy(nn.CrossEntropyLoss):
    """A user's, such as one with other defaults, which computes what torch's does."""


@pytest.mark.parametrize(
    "loss",
    [
        (CROSS_ENTROPY, "+loss.reduction=sum"),
        (CROSS_ENTROPY, *WEIGHTS),
        (CROSS_ENTROPY, *WEIGHTS, "+loss.reduction=sum"),
        (CROSS_ENTROPY, *WEIGHTS, "+loss.ignore_index=2"),
        (CROSS_ENTROPY, *WEIGHTS, "+loss.label_smoothing=0.1"),
        (CROSS_ENTROPY, "+loss.ignore_index=2", "+loss.label_smoothing=0.1"),
        ("loss._target_=torch.nn.MultiMarginLoss", *WEIGHTS),
        ("loss._target_=torch.nn.functional.cross_entropy", "+loss._partial_=true"),
    ],
    ids=lambda loss: " ".join(loss)[len("loss._target_=") :],
)
def test_an_evaluation_is_the_loss_of_the_whole_split(small, loss):
    """In whatever batches, of a single run and of an ensemble, which also evaluates what ends before the others."""
    settings = (*loss, "trainer.precision=64-true", "optimizer.lr=0.01", "trainer.max_steps=4")
    whole, parts = (small(*settings, f"data.eval_batch_size={size}") for size in (20, 3))
    ensemble = small(*settings, "data.eval_batch_size=3", "ensemble.seeds=2")
    for result in (whole, parts, ensemble):
        assert result.code == 0, result.err
    expected = single_curve(whole.run_directory)
    assert {"val/loss", "test/loss"} <= expected[4].keys()
    assert_curves_agree(expected, single_curve(parts.run_directory), 1e-8)
    assert_curves_agree(expected, curves(ensemble.run_directory)[0, "gaussian", 0.01], 1e-8)


def test_the_batches_of_a_split_are_weighed_as_the_loss_weighs_them(seeded):
    """All that torch leaves out, too."""
    outputs, labels, class_weights = torch.randn(2, 12, 4).double(), torch.arange(12) % 4, torch.arange(4.0).double()
    for loss in (
        nn.CrossEntropyLoss(class_weights),
        nn.NLLLoss(class_weights, ignore_index=1),
        nn.CrossEntropyLoss(reduction="sum"),
        nn.MultiMarginLoss(weight=class_weights),
        OwnCrossEntropy(class_weights),
        OwnCrossEntropy(reduction="sum"),
        OneHotMSE(),
    ):
        batches = [(outputs[:, rows], labels[rows].expand(2, -1)) for rows in torch.arange(12).split(1)]
        terms = [loss_terms(loss, replica_losses(loss, *batch), batch[1]) for batch in batches]
        expected = replica_losses(loss, outputs, labels)
        assert torch.allclose(loss_of_terms(loss, *map(sum, zip(*terms, strict=True))), expected, rtol=1e-13)
