"""What tests of runs that end early share."""

import pytest

from orthontk.training import TrainingModule


class Interrupted(Exception):
    """Stands for whatever ends a process."""


@pytest.fixture
def interrupt(monkeypatch):
    """Let training raise just before the update of a step."""

    def at(step):
        original = TrainingModule.training_step

        def training_step(self, batch, batch_index):
            if self.global_step == step:
                monkeypatch.setattr(TrainingModule, "training_step", original)
                raise Interrupted
            return original(self, batch, batch_index)

        monkeypatch.setattr(TrainingModule, "training_step", training_step)

    return at
