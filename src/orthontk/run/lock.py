"""One process at a time in a run directory, by a lock that dies with its holder.

`flock` is released by the kernel when the holder ends, however it ends. On one machine and on NFS (where Linux makes a
byte-range lock of it, so it holds between nodes), GPFS and Lustre mounted with `-o flock` it keeps two launches apart.
Where a file system has no such locks a warning says so. When a whole node dies, an NFS server frees its locks only
after their lease, about 90 s.
"""

import errno
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from orthontk.run.directory import LOCK, is_finished
from orthontk.slurm import commands
from orthontk.slurm.interruption import is_leaving

# `sweep status` looks at a lock by sharing it for an instant, which a start must outwait.
PATIENCE = 1.0
# After a requeue the process before it may be going down still, or its NFS lease running out.
PATIENCE_AFTER_REQUEUE = 120.0
FOR_FIRST_PROCESS = 300.0
SECONDS_BETWEEN_LOOKS = 1.0  # at whether the first process is still there
UNSUPPORTED = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@dataclass(frozen=True)
class Holder:
    """Who runs a directory; `job` is what all processes of one distributed run share."""

    host: str
    pid: int
    job: str | None = None

    def __str__(self) -> str:
        return f"host {self.host}, pid {self.pid}"


class InUse(Exception):
    """The run's directory belongs to another process that is running it now."""

    def __init__(self, path: Path, holder: Holder) -> None:
        super().__init__(f"{path}: being run by another process ({holder})")
        self.path, self.holder = path, holder

    def __reduce__(self):  # so that it survives the trip back from a worker process
        return type(self), (self.path, self.holder)


def own_job() -> str | None:
    """What all processes of this distributed run share, by who started them."""
    return os.environ.get("SLURM_JOB_ID") or os.environ.get("TORCHELASTIC_RUN_ID")


@contextmanager
def locked(path: Path, patience: float | None = None) -> Iterator[None]:
    """Hold the directory, which is made if it is not there, while the block runs.

    Args:
        patience: seconds to wait for a holder to go; None: a moment, and two minutes in a requeued SLURM job.

    Raises:
        InUse: another process holds it.
    """
    file = _open_held(path, _patience() if patience is None else patience)
    try:
        os.ftruncate(file, 0)
        own = Holder(socket.gethostname(), os.getpid(), own_job())
        os.pwrite(file, json.dumps(asdict(own)).encode(), 0)
        yield
    finally:
        os.close(file)  # which also releases it


def holder_of(path: Path) -> Holder | None:
    """Who holds the directory now, or None."""
    for _ in range(20):  # a holder writes its name a moment after it has the lock
        try:
            file = os.open(path / LOCK, os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            if _lock(file, fcntl.LOCK_SH):
                return None
        finally:
            os.close(file)
        if holder := last_holder(path):
            return holder
        time.sleep(0.05)
    return Holder("unknown", 0)


def last_holder(path: Path) -> Holder | None:
    """Who holds the directory, or held it latest; None if nobody did."""
    try:
        return Holder(**json.loads((path / LOCK).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def wait_for_first_process(path: Path) -> None:
    """Return once the first process of this distributed run holds the directory or has found it finished.

    Raises:
        InUse: it is another run's process that holds it.
        TimeoutError: the first process did not come.
    """
    own, start = own_job(), time.monotonic()
    while not is_finished(path):
        holder, waited = holder_of(path), time.monotonic() - start
        if holder is not None and holder.job == own:
            return
        if holder is not None and waited > _patience():
            raise InUse(path, holder)
        if waited > FOR_FIRST_PROCESS:
            raise TimeoutError(f"{path}: the first process of this run has not started")
        time.sleep(0.1)


@contextmanager
def ending_with_holder(path: Path) -> Iterator[None]:
    """End this process if, while the block runs, the first one of its distributed run lets go of the directory.

    What this one wrote after that could meet what the next launch writes. That the run is finished, or that all were
    told to leave, is no reason.
    """
    over = threading.Event()
    threading.Thread(target=_follow, args=(_own_holder(path), path, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _follow(first: Holder | None, path: Path, over: threading.Event) -> None:
    looks_without = 0
    while not over.wait(SECONDS_BETWEEN_LOOKS):
        first = first or _own_holder(path)
        is_gone = first is not None and holder_of(path) != first and not is_finished(path) and not is_leaving()
        looks_without = looks_without + 1 if is_gone else 0
        if looks_without > 1:  # one look may fall on the moment in which all come to their end
            print(f"the first process of this run ({first}) has ended, and so does this one", file=sys.stderr)
            sys.stderr.flush()
            os._exit(1)


def _own_holder(path: Path) -> Holder | None:
    """The first process of this distributed run, if it holds the directory."""
    holder = holder_of(path)
    return holder if holder is not None and holder.job == own_job() else None


def _open_held(path: Path, patience: float) -> int:
    """The lock's file, held by this process; a refused run may have removed the one that was waited for."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        try:
            file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # removed with its directory just now
            continue
        try:
            _acquire(file, path, patience)
            if os.path.samestat(os.fstat(file), os.stat(path / LOCK)):
                return file
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _acquire(file: int, path: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not _lock(file, fcntl.LOCK_EX):
        holder = holder_of(path)
        if time.monotonic() > deadline and holder is not None:
            raise InUse(path, holder)
        time.sleep(0.05)


def _lock(file: int, kind: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno not in UNSUPPORTED:
            raise
        _warn_of_no_locks()
    return True


@cache
def _warn_of_no_locks() -> None:
    print("warning: no file locks here, so do not launch the same runs twice at once", file=sys.stderr)


def _patience() -> float:
    return PATIENCE_AFTER_REQUEUE if commands.is_requeued() else PATIENCE
