"""Sweeps on a real SLURM whose jobs are preempted, requeued, timed out and killed end as undisturbed ones, bit for bit.

`pytest -s -m slurm tests/cluster/test_survival.py` prints what happened to the jobs.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle

import pytest
from disturbances import DISTURBANCES, is_running, preempt, reaches, table_of, wait_until

from run_files import assert_same_run, wandb_history

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

SMALL_TRAINING = (
    "model=fcn",
    "model.width=8",
    "model.depth=3",
    "data.train_size=60",
    "data.val_size=20",
    "data.test_size=20",
    "data.batch_size=10",
    "trainer.accelerator=cpu",
    "trainer.max_steps=120",
    "trainer.val_check_interval=30",
    "checkpoint.every_n_steps=20",
    "callbacks.ntk.probe_size=10",
    "callbacks.ntk.steps=40",
    "logger=wandb",
)
PACED = (*SMALL_TRAINING, "+callbacks.pace._target_=pacing.Pace")


def run_of(sweep, init, seed):
    """The directory of one job, as soon as it is there."""
    return next(iter(sweep.folder.glob(f"outputs/default/fcn-{init}-*-seed{seed}-*")), sweep.folder / "none")


def job_of(sweep, jobs):
    """The SLURM job of a multirun that has just started."""
    for line in sweep.process.stdout:
        if found := re.match(rf"submitted {jobs} jobs? as SLURM job (\d+)", line):
            return found[1]
    raise AssertionError(sweep.process.stderr.read())


def disturb(cluster, sweep, jobs):
    """Disturb each job, in one of the four ways in turn, once it has saved something; all of them at once.

    Args:
        jobs: SLURM's id, initialization and seed of each.

    Returns:
        The ways, by job.
    """
    ways = dict(zip([job for job, _, _ in jobs], cycle(DISTURBANCES), strict=False))

    def one(job, init, seed):
        wait_until(lambda: reaches(run_of(sweep, init, seed), 20) and is_running(cluster, job), f"{job} runs")
        DISTURBANCES[ways[job]](cluster, job)

    with ThreadPoolExecutor(len(jobs)) as together:
        for done in [together.submit(one, *job) for job in jobs]:
            done.result()
    return ways


def finish(multirun, sweep, launcher, settings, killed):
    """Let the multirun end; it names the killed jobs, and the same command again runs them."""
    code, _, errors = sweep.end()
    assert code == 1 and f"error: {killed} of " in errors, errors
    assert errors.count("ended by SLURM as FAILED, without a result") == killed
    code, out, errors = multirun(sweep.folder.name, *settings, launcher=launcher).end()
    assert code == 0, errors
    return out


def show(cluster, sweep, job, ways):
    print(f"\n{table_of(cluster, job)}")
    print("disturbed:", ", ".join(f"{job} {way}" for job, way in ways.items()))


def assert_same_sweep(whole, disturbed, histories):
    """Every file of every run; W&B's histories of some, as its reader takes seconds to start."""
    assert whole.runs.keys() == disturbed.runs.keys()
    for name, directory in whole.runs.items():
        assert_same_run(directory, disturbed.runs[name])
        recorded = [
            [path.name[-16:] for path in (run / "wandb").glob("offline-run-*")]
            for run in (directory, disturbed.runs[name])
        ]
        assert recorded[0] == recorded[1] and len(recorded[0]) == 1  # the same id
    for name in list(whole.runs)[:histories]:
        assert wandb_history(whole.runs[name]) == wandb_history(disturbed.runs[name])
    print(f"{len(whole.runs)} runs: no file differs from the undisturbed sweep's")


def test_sweep_of_twelve_jobs(multirun, cluster):
    settings = (*PACED, "init=gaussian,orthogonal", "seed=range(6)")
    whole = multirun("whole", *settings, launcher=None)
    sweep = multirun("disturbed", *settings, pace=0.3)
    array = job_of(sweep, 12)
    jobs = [
        (f"{array}_{i}", init, seed)
        for i, (init, seed) in enumerate((i, s) for i in ("gaussian", "orthogonal") for s in range(6))
    ]
    ways = disturb(cluster, sweep, jobs)
    again = next(job for job, _, _ in jobs if is_running(cluster, job))
    preempt(cluster, again)  # whatever runs on its node by now
    finish(multirun, sweep, "slurm", settings, killed=3)
    code, _, errors = whole.end()
    assert code == 0, errors
    show(cluster, sweep, array, ways)
    assert_same_sweep(whole, sweep, histories=4)
