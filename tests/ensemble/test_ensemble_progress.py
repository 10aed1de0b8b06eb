"""What an ensemble's progress bar counts."""

from types import SimpleNamespace

import pytest

from orthontk.ensemble.progress import EnsembleProgress


@pytest.fixture
def bar_after(capsys):
    """The bar of two chunks of three replicas that make 100 steps, in the first, of which two have ended."""

    def after(step, ended):
        progress = EnsembleProgress([(0, [None] * 3), (1, [None] * 3)])
        module = SimpleNamespace(replicas=[None] * 3, ended={})
        trainer = SimpleNamespace(max_steps=100, global_step=0, lightning_module=module, callback_metrics={})
        progress.on_train_start(trainer, module)
        trainer.global_step = step
        module.ended = {number: {"status": "stopped", "steps": end} for number, end in enumerate(ended)}
        module.replicas = [None] * (3 - len(ended))
        progress._update(trainer)
        return progress, trainer, module

    return after


def test_updates_that_ended_replicas_do_not_make_are_neither_made_nor_left(bar_after):
    progress, _, _ = bar_after(step=20, ended=[10, 15])
    assert progress.bar.n == 20 + 10 + 15
    assert progress.bar.total - progress.bar.n == 80 + 300  # the third replica's, and the second chunk's


def test_the_next_chunk_goes_on_from_what_was_made(bar_after):
    progress, trainer, module = bar_after(step=15, ended=[10, 15, 12])
    progress.on_train_end(trainer, module)
    module.replicas, module.ended, trainer.global_step = [None] * 3, {}, 0
    progress.on_train_start(trainer, module)
    trainer.global_step = 100
    progress.on_train_end(trainer, module)
    assert progress.bar.n == progress.bar.total == 37 + 300
