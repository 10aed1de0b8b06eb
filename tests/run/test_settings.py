"""Settings that nothing of ours is built with are checked by themselves, and refused by their keys."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from conftest import ROOT
from orthontk.checks import InvalidValue
from orthontk.identity import register_resolvers
from orthontk.run.settings import check_settings


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", ["model=fcn", *overrides])


def refusal(*overrides: str) -> str:
    with pytest.raises(InvalidValue) as refused:
        check_settings(composed(*overrides))
    return str(refused.value)


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("+trainer.limit_train_batches=2", "data.train_size"),
        ("+trainer.overfit_batches=1", "data.train_size"),
        ("+trainer.min_steps=3", "trainer.max_steps"),
        ("+trainer.min_epochs=3", "trainer.max_epochs"),
    ],
)
def test_what_lightning_would_be_told_for_nothing(override, instead):
    """Batches are drawn without asking Lightning, and a training ends by its largest number of steps alone."""
    assert refusal(override).startswith(f"{override.lstrip('+')}: expected nothing; ")
    assert instead in refusal(override)
