"""What a job costs besides its training: over the imports that it cannot do without, and as a further job.

    python benchmarks/startup.py [ROUNDS]

All are measured in turns, so that whatever else the machine does hits each of them:

- imports: `import torch, pytorch_lightning, wandb, hydra` in a process of its own;
- job: `python train.py trainer.max_steps=0`, from its start to its end, plain and with the default callbacks and
  figures; offline W&B in both. The network is a narrow one, so that evaluating it takes no time either;
- multiruns of 1 and of MANY such jobs in one warm process, whose difference is what a further job costs.

Prints medians and ratios; the goals are at most 2 for a job and less than a second for a further one.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MANY = 9
IMPORTS = ["-c", "import torch, pytorch_lightning, wandb, hydra"]
SETTINGS = ["trainer=cpu", "trainer.max_steps=0", "trainer.enable_progress_bar=false", "model=fcn"]
JOB = ["train.py", *SETTINGS]
WARM = ["train.py", "-m", *SETTINGS, "hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "callbacks=none"]
COMMANDS = {
    "imports": IMPORTS,
    "job, callbacks=none": [*JOB, "callbacks=none"],
    "job, default callbacks": JOB,
    "1 job in a warm process": [*WARM, "seed=0"],
    f"{MANY} jobs in a warm process": [*WARM, f"seed=range({MANY})"],
}


def seconds(arguments: list[str]) -> float:
    """Wall-clock seconds of a Python process with one thread, its results in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        where = [] if arguments == IMPORTS else [f"paths.output_dir={folder}"]
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments, *where],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        elapsed = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(done.stderr)
    return elapsed


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measured = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, arguments in COMMANDS.items():
            measured[name].append(seconds(arguments))
    medians = {name: statistics.median(times) for name, times in measured.items()}
    imports, plain, default, one, many = medians.values()
    print(f"medians of {rounds} rounds, on {os.cpu_count()} cores")
    for name, median in medians.items():
        print(f"{name:<26} {median:6.2f} s   ({min(measured[name]):.2f} to {max(measured[name]):.2f})")
    print(f"job / imports: {plain / imports:.2f} with callbacks=none, {default / imports:.2f} with the default ones")
    print(f"a further job in a warm process: {(many - one) / (MANY - 1):.2f} s")


if __name__ == "__main__":
    main()
