"""What the framework adds to a training step: Lightning with progress bar, metrics.csv and metrics, over a bare loop.

    python benchmarks/step_cost.py

Both sides train the same network on the same batches, in turns, so that whatever else the machine does hits both.
Prints the median step of each and their ratio; the goal is at most 1.5.
"""

import statistics
import sys
import tempfile
import time
from itertools import islice

import pytorch_lightning as pl
import torch

from orthontk.callbacks import Checkpoints, Progress
from orthontk.data import TensorDataModule
from orthontk.data.batches import StepBatches
from orthontk.init import initialize
from orthontk.loggers import MetricsCSV
from orthontk.networks import FCN
from orthontk.training import TrainingModule

STEPS, ROUNDS, BATCH = 500, 7, 128


def network() -> FCN:
    return initialize(FCN(784, 10, width=256, depth=5), "gaussian", torch.Generator().manual_seed(0))


def bare_loop(data: TensorDataModule) -> float:
    """Seconds a step of the loop one would write by hand, with its loss read every 50 steps."""
    net, loss_function = network(), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = StepBatches(data.train, BATCH, seed=0, max_steps=STEPS)
    start = time.perf_counter()
    for step, (x, y) in enumerate(islice(batches, STEPS)):
        optimizer.zero_grad()
        loss = loss_function(net(x), y)
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            loss.item()
    return (time.perf_counter() - start) / STEPS


class Stopwatch(pl.Callback):
    """Times training alone, from its first batch to its end."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.perf_counter() - self.start


def framework(data: TensorDataModule) -> float:
    """Seconds a step of the same training as a run does it."""
    module = TrainingModule(network(), torch.nn.CrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.1))
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as directory:
        trainer = pl.Trainer(
            max_steps=STEPS,
            max_epochs=-1,
            accelerator="cpu",
            limit_val_batches=0,
            log_every_n_steps=50,
            val_check_interval=STEPS,
            check_val_every_n_epoch=None,
            enable_model_summary=False,
            default_root_dir=directory,
            callbacks=[Checkpoints(every_n_steps=10 * STEPS), Progress(), stopwatch],
            logger=MetricsCSV(directory),
        )
        trainer.fit(module, datamodule=data)
    return stopwatch.seconds / STEPS


def main() -> None:
    data = TensorDataModule("mnist_5k", batch_size=BATCH)
    data.setup()
    bare_loop(data), framework(data)  # warm up
    bare, ours = [], []
    for _ in range(ROUNDS):
        bare.append(bare_loop(data))
        ours.append(framework(data))
    ratio = statistics.median(ours) / statistics.median(bare)
    print(f"FCN L=5 n=256, batch {BATCH}, {torch.get_num_threads()} threads, terminal: {sys.stderr.isatty()}")
    print(f"bare loop  {1e3 * statistics.median(bare):7.3f} ms a step (median of {ROUNDS} rounds of {STEPS})")
    print(f"framework  {1e3 * statistics.median(ours):7.3f} ms a step")
    print(f"ratio      {ratio:7.2f}  (goal: at most 1.5)")


if __name__ == "__main__":
    main()
