"""Jobs that SLURM ends early: they save, go back to the queue, and continue there.

SLURM sends SIGUSR2, or what else `--signal` says, some time before the time limit and, where the cluster is set up so,
before a preemption; and SIGTERM with a preemption, `scontrol requeue` and `scancel`, some seconds before it kills. All
let the run write a checkpoint after the step that it is at. Then the job asks to be requeued, unless SLURM is ending it
already, and the processes leave. What is killed without a signal, or before it could save, continues from its last
regular checkpoint, with the same results.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from orthontk.slurm import commands

SIGNALS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
PATIENCE = 45.0  # seconds for a step to end; a longer one is computed again after the requeue

Result = TypeVar("Result")
_requested = threading.Event()
_is_listening = False


class Interrupted(BaseException):
    """Ends a run whose checkpoint is written. No Exception, so that nothing takes it for a failure."""


def listen() -> None:
    """Hear the signals from now on; in the main thread only."""
    for number in SIGNALS:
        signal.signal(number, lambda *_: _requested.set())


def is_requested(strategy: Any) -> bool:
    """Whether to save and leave now. All processes of a distributed run get the same answer, at the same step.

    Args:
        strategy: Lightning's, through which they agree.
    """
    return _is_listening and strategy.reduce_boolean_decision(_requested.is_set(), all=False)


def leave_if_requested() -> None:
    """Leave, where there is nothing to save."""
    if is_leaving():
        raise Interrupted


def is_leaving() -> bool:
    """Whether this process was told to leave, and does so by itself."""
    return _is_listening and _requested.is_set()


@contextmanager
def without_lightnings_handlers() -> Iterator[None]:
    """Let SIGTERM do what it does otherwise, which is to end a process at once; outside SLURM `surviving` is not there.

    Lightning's handler talks to the other processes of a distributed run, on top of what it has interrupted: they would
    wait for each other for ever. The last checkpoint stands.
    """
    from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector  # no import to wait for here

    register = _SignalConnector.register_signal_handlers
    _SignalConnector.register_signal_handlers = lambda self: None
    try:
        yield
    finally:
        _SignalConnector.register_signal_handlers = register


def surviving(task: Callable[[], Result]) -> Result:
    """Carry out `task`; a process of a SLURM job does so in a thread, while its main thread waits for signals.

    The main thread has nothing else to do, so a signal is heard during long computations too. Outside the main thread
    Lightning installs no handlers of its own: those save to files that any later run in the directory would load, and
    send messages between processes that may be in the middle of others.
    """
    if commands.job_to_requeue() is None or threading.current_thread() is not threading.main_thread():
        return task()
    global _is_listening
    listen()
    _is_listening = True
    outcome: Future[Result] = Future()
    threading.Thread(target=_carry_out, args=(task, outcome), daemon=True).start()
    while not outcome.done() and not _requested.is_set():
        wait([outcome], timeout=0.5)
    wait([outcome], timeout=PATIENCE)
    error = outcome.exception() if outcome.done() else None
    if not outcome.done() or isinstance(error, Interrupted) or (error is not None and _requested.is_set()):
        _leave(saved=isinstance(error, Interrupted))  # other errors come of what else is being ended, such as a peer
    return outcome.result()


def _carry_out(task: Callable[[], Result], outcome: Future[Result]) -> None:
    # SLURM signals every process of a job. Those started from here, such as W&B's, inherit that they do not hear it,
    # and so are there until the run has left.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        outcome.set_result(task())
    except BaseException as error:
        outcome.set_exception(error)


def _leave(saved: bool) -> None:
    """End this process, and let its job run again if SLURM has not decided about that already."""
    job = commands.job_to_requeue()
    print("saved; " if saved else "not saved in time; the last checkpoint stands; ", end="", file=sys.stderr)
    handed_back = True
    if commands.own_task() == 0 and commands.is_running(job):
        handed_back = commands.requeue(job)
    print(f"SLURM job {job} is interrupted" + "; it continues when it is run again" * handed_back, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0 if handed_back else 1)  # at once: a thread may be computing; not 0 would let srun kill the other tasks
