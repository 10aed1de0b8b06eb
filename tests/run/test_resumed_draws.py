"""What a network draws in its forward pass is decided by the seed and the step, and so by no interruption."""

import random
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from orthontk.run.isolation import SeededSteps
from run_files import assert_same_run
from small_run import SMALL

SETTINGS = (
    "model=fcn",
    *(setting for setting in SMALL if not setting.startswith("callbacks.")),
    "callbacks=none",
    "optimizer=momentum",
    "checkpoint.every_n_steps=4",
    "trainer.max_steps=9",
)


@pytest.mark.parametrize("model", ["Random", "RandomInNumpy"])
def test_a_network_that_draws_resumes_as_if_it_had_not_been_interrupted(train, interrupt, tmp_path, model):
    settings = (*SETTINGS, f"model._target_=own_models.{model}")
    whole = train(*settings, f"hydra.run.dir={tmp_path}/whole")
    assert whole.code == 0, whole.err
    interrupt(6)
    train(*settings, f"hydra.run.dir={tmp_path}/stopped")
    resumed = train(*settings, f"hydra.run.dir={tmp_path}/stopped")
    assert resumed.code == 0 and "continuing from" in resumed.out, resumed.err
    assert_same_run(whole.run_directory, resumed.run_directory)


def test_seeds_steps_and_processes_draw_differently():
    drawn = set()
    for seed, step, process in product(range(2), range(3), range(2)):
        SeededSteps(seed).on_train_batch_start(SimpleNamespace(global_step=step, global_rank=process), None)
        drawn.add((torch.rand(()).item(), np.random.random(), random.random()))
    assert len(drawn) == 12 and all(len(set(values)) == 12 for values in zip(*drawn, strict=True))
