"""Waiting for submitted jobs, and what is said of those that failed."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from submitit.core.utils import pickle_load

from orthontk.slurm import commands

LINES = 8  # of a failed job's log
SECONDS_FOR_FILES = 15.0  # that a shared file system may take to show a result
# Ends that are not the job's own fault; SLURM itself requeues after some of them, where it is set up so.
RETRIED = ("TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL")
MOST_RETRIES = 5  # of a job that ended so without having handed itself back


def wait_for(jobs: Sequence[Any], poll_seconds: float) -> list[str | None]:
    """Wait until all jobs are over; for each None, or why it failed.

    A job that was ended by its time limit, a preemption or its node without having asked for a requeue is requeued
    here.

    Args:
        jobs: submitit's, whose results are None or a reason.
        poll_seconds: between two looks at the queue.
    """
    ids = [job.job_id for job in jobs]
    arrays = {job_id.partition("_")[0] for job_id in ids}
    over: dict[str, str] = {}
    retries: Counter[str] = Counter()
    shown = ""
    while len(over) < len(ids):
        if (states := commands.states(arrays)) is not None:
            now = {job_id: over.get(job_id) or states.get(job_id, "UNKNOWN") for job_id in ids}
            over |= {job_id: now[job_id] for job_id in ids if job_id not in over and _is_over(job_id, now, retries)}
            line = ", ".join(f"{count} {state.lower()}" for state, count in sorted(Counter(now.values()).items()))
            if line != shown:
                print(f"jobs: {line}", flush=True)
                shown = line
        time.sleep(poll_seconds if len(over) < len(ids) else 0)
    return [_reason(job, over[job.job_id]) for job in jobs]


def _is_over(job: str, states: dict[str, str], retries: Counter[str]) -> bool:
    """Whether SLURM will not run the job again; it is asked to where that may help. Jobs it has forgotten are over."""
    if states[job] not in (*commands.OVER, "UNKNOWN"):
        return False
    if states[job] in RETRIED and retries[job] < MOST_RETRIES and commands.requeue(job):
        retries[job] += 1
        return False
    return True


def _reason(job: Any, state: str) -> str | None:
    """Why a job that is over failed, with the end of its log; None if it did not."""
    tasks = [job.task(number).paths for number in range(job.num_tasks)]
    results = [paths.result_pickle for paths in tasks]
    deadline = time.monotonic() + SECONDS_FOR_FILES
    while state == "COMPLETED" and not all(path.exists() for path in results) and time.monotonic() < deadline:
        time.sleep(0.5)
    reasons = {path: _failure(*pickle_load(path)) for path in results if path.exists()}
    failed = next((paths for paths in tasks if reasons.get(paths.result_pickle) is not None), None)
    if failed is None and len(reasons) == len(results):
        return None
    reason = reasons[failed.result_pickle] if failed else f"ended by SLURM as {state}, without a result"
    log = (failed or tasks[0]).stdout
    return f"{reason}\n    SLURM job {job.job_id}; the end of {log}:{_tail(log)}"


def _failure(kind: str, value: Any) -> str | None:
    """submitit's own errors are tracebacks; a job's result is None or its reason."""
    return value if kind == "success" else str(value).strip().splitlines()[-1]


def _tail(log: Path) -> str:
    if not log.exists():
        return " not there"
    lines = log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-LINES:]
    return "".join(f"\n    | {line}" for line in lines)


def explain_interrupt(jobs: Sequence[Any]) -> None:
    """Say what Ctrl-C does not end."""
    parents = sorted({job.job_id.partition("_")[0] for job in jobs})
    print(f"SLURM job {', '.join(parents)} goes on without this command; scancel ends it", file=sys.stderr)
