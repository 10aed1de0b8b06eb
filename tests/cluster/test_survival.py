"""Sweeps on a real SLURM whose jobs are preempted, requeued, timed out and killed end as undisturbed ones, bit for bit.

`python -m pytest -s tests/cluster/test_survival.py` prints what happened to the jobs.
"""

import os
import re
import shlex
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, product
from pathlib import Path

import pytest
from disturbances import DISTURBANCES, is_running, preempt, reaches, requeue, starts_of, table_of, wait_until
from multiruns import ROOT, Multirun

from orthontk.loggers import read_metrics
from run_files import assert_same_run, wandb_history
from small_run import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

INITS = ("gaussian", "orthogonal")
TRAINING = ("model=fcn", *SMALL, "logger=wandb", "figures=true")
PACED = (
    *TRAINING,
    "+callbacks.pace._target_=pacing.Pace",
    "trainer.max_steps=150",
    "trainer.val_check_interval=30",
    "checkpoint.every_n_steps=10",
    "callbacks.ntk.steps=40",
    "trainer.log_every_n_steps=5",
)
SHORT_WARNING = "hydra.launcher.signal_delay_s=5"  # for limits of a minute
SECONDS_A_STEP = 0.3  # SLURM looks at time limits every half minute, so a job must last longer


def run_of(sweep, init, seed):
    """The directory of one job, as soon as it is there."""
    return next(iter(sweep.folder.glob(f"outputs/default/fcn-{init}-*-seed{seed}-*")), sweep.folder / "none")


def submitted(sweep, jobs):
    """The SLURM job of a multirun that has just started."""
    for line in sweep.process.stdout:
        if found := re.match(rf"submitted {jobs} jobs? as SLURM job (\d+)", line):
            return found[1]
    raise AssertionError(sweep.process.stderr.read())


def disturb(cluster, sweep, jobs):
    """Disturb every job once it has saved something, in one of the four ways in turn; all of them at once.

    Args:
        jobs: initialization and seed of each SLURM job.

    Returns:
        The ways, by job.
    """
    ways = dict(zip(jobs, cycle(DISTURBANCES), strict=False))

    def one(job):
        while True:
            wait_until(lambda: reaches(run_of(sweep, *jobs[job]), 10) and is_running(cluster, job), f"{job} trains")
            try:
                return DISTURBANCES[ways[job]](cluster, job)
            except (RuntimeError, ValueError, ProcessLookupError):
                print(f"{job} was just preempted with a neighbour; {ways[job]} comes when it runs again")

    with ThreadPoolExecutor(len(jobs)) as together:
        for done in [together.submit(one, job) for job in jobs]:
            done.result()
    return ways


def preempt_one_more(cluster, jobs):
    """One that runs, and its neighbours on the node; the last ones disturbed may all be waiting for their turn."""
    running = wait_until(lambda: [job for job in jobs if is_running(cluster, job)], "one of the jobs runs again")
    preempt(cluster, running[0])


def finish(multirun, sweep, launcher, settings, killed):
    """Let the multirun end; it names the killed jobs, and the same command again runs them."""
    code, _, errors = sweep.end()
    assert code == 1 and f"error: {killed} of " in errors, errors
    assert errors.count("; the end of ") == killed
    code, _, errors = multirun(sweep.folder.name, *settings, launcher=launcher).end()
    assert code == 0, errors


def show(cluster, array, ways):
    print(f"\n{table_of(cluster, array)}")
    for way in DISTURBANCES:
        print(f"{way}: {', '.join(job for job in ways if ways[job] == way)}")


def assert_disturbed(cluster, array, ways):
    starts = starts_of(cluster, array)
    for job, way in ways.items():
        assert len(starts[job]) > 1 or way == "SIGKILL", (job, way, starts[job])


def assert_same_sweep(whole, disturbed, histories):
    """Every file of every run; W&B's histories of the first few, as its reader takes seconds to start."""
    assert whole.runs.keys() == disturbed.runs.keys()
    for number, (name, directory) in enumerate(whole.runs.items()):
        other = disturbed.runs[name]
        assert_same_run(directory, other)
        ids = [[path.name.split("-", 3)[3] for path in run.glob("wandb/offline-run-*")] for run in (directory, other)]
        ((one,), (another,)) = ids  # one for each, of the directory's name and a digest of where it lies
        assert one != another and one.rpartition("-")[0] == another.rpartition("-")[0] == name[-15:].lstrip("-")
        assert number >= histories or wandb_history(directory) == wandb_history(other)
    print(f"{len(whole.runs)} runs: no file differs from the undisturbed sweep's")


def test_sweep_of_twelve_jobs(multirun, cluster):
    settings = (*PACED, "init=gaussian,orthogonal", "seed=range(6)")
    whole = multirun("whole", *settings, launcher=None)
    sweep = multirun("disturbed", SHORT_WARNING, *settings, pace=SECONDS_A_STEP)
    array = submitted(sweep, 12)
    jobs = {f"{array}_{place}": job for place, job in enumerate(product(INITS, range(6)))}
    ways = disturb(cluster, sweep, jobs)
    preempt_one_more(cluster, jobs)
    finish(multirun, sweep, "slurm", settings, killed=3)
    code, _, errors = whole.end()
    assert code == 0, errors
    show(cluster, array, ways)
    assert_disturbed(cluster, array, ways)
    assert_same_sweep(whole, sweep, histories=4)


def test_two_tasks_under_ddp(multirun, cluster):
    """The same files as of jobs that are left alone, and the same losses as on one device."""
    settings = (*PACED, "init=gaussian,orthogonal", "seed=0,1")
    together = (*settings, "trainer=ddp")
    sweep = multirun("disturbed", SHORT_WARNING, *together, launcher="slurm_ddp", pace=SECONDS_A_STEP)
    array = submitted(sweep, 4)
    jobs = {f"{array}_{place}": job for place, job in enumerate(product(INITS, range(2)))}
    ways = disturb(cluster, sweep, jobs)
    finish(multirun, sweep, "slurm_ddp", together, killed=1)
    whole = multirun("whole", *together, launcher="slurm_ddp")
    alone = multirun("alone", *settings, launcher=None)
    for undisturbed in (whole, alone):
        code, _, errors = undisturbed.end()
        assert code == 0, errors
    show(cluster, array, ways)
    assert_disturbed(cluster, array, ways)
    assert_same_sweep(whole, sweep, histories=2)
    for job in jobs.values():
        one, two = (read_metrics(run_of(runs, *job) / "metrics.csv") for runs in (alone, sweep))
        assert [row["step"] for row in one] == [row["step"] for row in two]
        for name in ("train/loss", "val/loss", "test/loss"):
            losses = [[row[name] for row in rows if name in row] for rows in (one, two)]
            assert losses[0] and losses[1] == pytest.approx(losses[0], rel=1e-6), name


@pytest.mark.parametrize("launcher, trainer", [("slurm", "cpu"), ("slurm_ddp", "ddp")])
def test_requeued_ensemble(multirun, cluster, launcher, trainer):
    """In one task, and with its chunks dealt to two."""
    settings = (
        *(*TRAINING, f"trainer={trainer}", "trainer.accelerator=cpu", "ensemble.seeds=4", "ensemble.chunk=2"),
        *("ensemble.inits=[gaussian,orthogonal]", "trainer.max_steps=4000", "trainer.val_check_interval=1000"),
        *("trainer.log_every_n_steps=200", "checkpoint.every_n_steps=50", "callbacks.ntk.steps=2000"),
    )
    whole = multirun("whole", *settings, launcher=None)
    code, _, errors = whole.end()
    assert code == 0, errors
    ((name, directory),) = whole.runs.items()
    run = whole.folder.parent / "disturbed" / "outputs" / "default" / name
    run.mkdir(parents=True)
    shutil.copy(directory / "ensemble.json", run)  # a plan is measured, so two runs may have different ones
    sweep = multirun("disturbed", *settings, launcher=launcher)
    job = submitted(sweep, 1)
    wait_until(lambda: list(run.glob("chunks/*/checkpoints/step-*.ckpt")), "the ensemble trains")
    requeue(cluster, job)
    code, _, errors = sweep.end()
    assert code == 0, errors
    assert len(starts_of(cluster, job)[job]) == 2
    assert_same_sweep(whole, sweep, histories=1)


def test_a_script_of_ones_own(multirun, cluster, tmp_path):
    """`srun python train.py …` in a script that is submitted by hand survives alike."""
    whole = multirun("whole", *PACED, launcher=None)
    own = Multirun(tmp_path / "own")
    own.folder.mkdir()
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = shlex.join(["srun", sys.executable, f"{ROOT}/train.py", *PACED])
    script = f"export OMP_NUM_THREADS=1 PACE=0.1 PYTHONPATH={path}; {command}"
    options = ("--parsable", "--requeue", "--signal=USR2@60", "--mem=1G", "--output=log", f"--chdir={own.folder}")
    job = cluster.run("sbatch", *options, f"--wrap={script}").strip()
    wait_until(lambda: reaches(run_of(own, "gaussian", 0), 10), "the run trains")
    requeue(cluster, job)
    wait_until(lambda: own.runs and not is_running(cluster, job), "the run is finished")
    code, _, errors = whole.end()
    assert code == 0, errors
    assert len(starts_of(cluster, job)[job]) == 2
    assert_same_sweep(whole, own, histories=1)
