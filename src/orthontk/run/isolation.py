"""A job among others in one process: it begins as if it were alone, and leaves nothing behind for the next.

Each of its training steps draws from global generators that are seeded anew.
"""

import os
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytorch_lightning as pl
import torch

from orthontk.run.claim import CHECKPOINT_VARIABLE, DIRECTORY_VARIABLE, PROCESS_VARIABLE

OF_LIGHTNING = ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
OF_ONE_JOB = (*OF_LIGHTNING, DIRECTORY_VARIABLE, CHECKPOINT_VARIABLE, PROCESS_VARIABLE)


def seed_global_generators(seed: int) -> None:
    torch.manual_seed(seed % 2**63)
    np.random.seed(seed % 2**32)
    random.seed(seed)


class SeededSteps(pl.Callback):
    """Lets `seed`, the step and the process decide what a network draws while it trains, as Dropout does.

    So a resumed run draws what an uninterrupted one does, and what else draws from the global generators, such as a
    user's callback, changes no training.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: object) -> None:
        # Mixed, so that step 1 of one seed is not step 0 of the next.
        mixed = np.random.SeedSequence([self.seed, trainer.global_step, trainer.global_rank])
        seed = int(mixed.generate_state(1)[0])
        for generator in (torch.default_generator, *torch.cuda.default_generators):
            generator.manual_seed(seed)  # torch.manual_seed takes ten times as long, as much as a small step
        np.random.seed(seed)
        random.seed(seed)


@contextmanager
def alone_in_process(seed: int) -> Iterator[None]:
    """Seed the global generators, which a user's own modules may draw from, and restore what a run changes.

    Lightning tells the processes of a distributed run apart by environment variables, and would take the next job's
    first process for one that it had started.
    """
    before, arguments = {name: os.environ.get(name) for name in OF_ONE_JOB}, list(sys.argv)
    if isinstance(seed, int) and seed >= 0:  # others are refused with the rest of the settings
        seed_global_generators(seed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        sys.argv[:] = arguments
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
