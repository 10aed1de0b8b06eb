"""The few questions and requests to SLURM's own commands."""

import os
import subprocess
import sys
from collections.abc import Iterable

SECONDS = 60  # that a command may take
# States of a job that SLURM will not run again by itself.
OVER = (
    "COMPLETED",
    "FAILED",
    "TIMEOUT",
    "CANCELLED",
    "NODE_FAIL",
    "BOOT_FAIL",
    "DEADLINE",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "SPECIAL_EXIT",
    "LAUNCH_FAILED",
    "RECONFIG_FAIL",
)


def job_to_requeue() -> str | None:
    """The job that this process is a task of, as `scontrol requeue` takes it; None outside a job step.

    A task of an array is named by its array, since the last task's own number is also that of the whole array.
    """
    if "SLURM_PROCID" not in os.environ:
        return None
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID")


def own_task() -> int:
    """This process's number among the tasks of its job."""
    return int(os.environ.get("SLURM_PROCID", "0"))


def is_requeued() -> bool:
    """Whether this process's job was begun before, and run again."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") != "0"


def states(jobs: Iterable[str]) -> dict[str, str] | None:
    """The state of each job that the controller still knows, by its id; None if the controller does not answer.

    Args:
        jobs: ids; of an array, for the states of all its tasks.
    """
    done = _run("squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(jobs)}", "--format=%i|%T")
    if done.returncode != 0:
        return {} if "Invalid job id" in done.stderr else None
    return dict(line.split("|") for line in done.stdout.split())


def is_running(job: str) -> bool:
    """Whether SLURM takes the job to run, rather than to be on its way out, as far as it can be asked."""
    known = states([job])
    return known is None or known.get(job) == "RUNNING"


def requeue(job: str) -> bool:
    """Let SLURM end the job and run it again; whether it agreed."""
    done = _run("scontrol", "requeue", job)
    if done.returncode != 0:
        print(f"SLURM does not requeue job {job}: {done.stderr.strip()}", file=sys.stderr, flush=True)
    return done.returncode == 0


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, returncode=1, stdout="", stderr=str(error))
