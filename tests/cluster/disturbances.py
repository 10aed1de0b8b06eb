"""What ends jobs early on a cluster, brought about on purpose."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from slurm_cluster import Cluster

from orthontk.run.checkpoint_files import latest_checkpoint, saved_step

T = TypeVar("T")


def requeue(cluster: Cluster, job: str) -> None:
    cluster.run("scontrol", "requeue", job)


def shorten_time_limit(cluster: Cluster, job: str) -> None:
    """A limit of a minute, most of which is over: SLURM warns the job soon and would end it then. Two from then on."""
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=1")
    wait_until(lambda: not is_running(cluster, job), f"{job} is out of time")
    cluster.run("scontrol", "update", f"JobId={job}", "TimeLimit=2", check=False)  # refused if it is done after all


def preempt(cluster: Cluster, job: str) -> None:
    """A job of the higher partition takes the node, and so preempts all that run there, for a few seconds."""
    node = cluster.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    everything = ("--cpus-per-task=4", "--mem=8000", "--output=/dev/null")
    cluster.run("sbatch", "--partition=high", f"--nodelist={node or 'n0'}", *everything, "--wrap=sleep 3")


def kill(cluster: Cluster, job: str) -> None:
    """SIGKILL to the first task's Python, as the kernel does when memory runs out."""
    (process,) = _processes_of(cluster, job, task=0)
    os.kill(process, signal.SIGKILL)


DISTURBANCES: dict[str, Callable[[Cluster, str], None]] = {
    "scontrol requeue": requeue,
    "preemption": preempt,
    "time limit": shorten_time_limit,
    "SIGKILL": kill,
}


def reaches(directory: Path, step: int) -> bool:
    checkpoint = latest_checkpoint(directory)
    return checkpoint is not None and saved_step(checkpoint) >= step


def wait_until(condition: Callable[[], T], what: str, seconds: float = 600) -> T:
    """What `condition` returns, once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.2)
    return found


def is_running(cluster: Cluster, job: str) -> bool:
    return cluster.run("squeue", "-h", "-j", job, "-o", "%T", check=False).strip() == "RUNNING"


def starts_of(cluster: Cluster, job: str) -> dict[str, list[list[str]]]:
    """What sacct says of every start of a job, or of an array's: partition, state, exit code, start, seconds, node."""
    fields = "JobID,Partition,State,ExitCode,Start,ElapsedRaw,NodeList"
    table = cluster.run("sacct", "-n", "-X", "-P", "--duplicates", "-j", job, f"--format={fields}")
    starts: dict[str, list[list[str]]] = {}
    for line in table.splitlines():
        name, *row = line.split("|")
        starts.setdefault(name, []).append(row)
    return {name: sorted(rows, key=lambda row: row[3]) for name, rows in sorted(starts.items(), key=_place)}


def table_of(cluster: Cluster, job: str) -> str:
    """The same as a table, with the number of restarts."""
    lines = [("job", "restart", "partition", "state", "exit", "start", "seconds", "node")]
    for name, starts in starts_of(cluster, job).items():
        lines += [(name, str(number), *start) for number, start in enumerate(starts)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _place(start: tuple[str, object]) -> tuple[int, int]:
    array, _, number = start[0].partition("_")
    return int(array), int(number or 0)


def _processes_of(cluster: Cluster, job: str, task: int) -> list[int]:
    array, _, number = job.partition("_")
    wanted = {
        f"SLURM_CONF={cluster.environment['SLURM_CONF']}",
        f"SLURM_ARRAY_JOB_ID={array}" if number else f"SLURM_JOB_ID={job}",
        *([f"SLURM_ARRAY_TASK_ID={number}"] if number else []),
        f"SLURM_PROCID={task}",
    }
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (process / "environ").read_bytes().decode(errors="replace").split("\0")
            command = (process / "cmdline").read_bytes().decode(errors="replace")
            if wanted <= set(environment) and "python" in command.split("\0")[0] and "submitit" in command:
                found.append(int(process.name))
    return found
