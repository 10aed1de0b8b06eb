"""The directory of a run, for this process alone and, in a distributed run, for the processes that belong to it."""

import ctypes
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from lightning_fabric.utilities.rank_zero import _get_rank
from omegaconf import DictConfig, OmegaConf

from orthontk.counted import counted
from orthontk.files import remove_partials
from orthontk.overrides import quoted
from orthontk.run.checkpoint_files import latest_checkpoint, saved_step
from orthontk.run.directory import (
    CHUNK_RESULT,
    CHUNKS,
    RunDirectory,
    existing_siblings,
    is_unused,
    open_directory,
    siblings,
)
from orthontk.run.lock import (
    Holder,
    InUse,
    ending_with_holder,
    holder_of,
    last_holder,
    locked,
    own_job,
    wait_for_first_process,
)
from orthontk.run.provenance import config_folders, searching
from orthontk.slurm import commands
from orthontk.slurm.interruption import without_lightnings_handlers

# How the first process of a run tells those that Lightning starts where the run is, and who started them.
DIRECTORY_VARIABLE, CHECKPOINT_VARIABLE = "ORTHONTK_RUN_DIRECTORY", "ORTHONTK_RUN_CHECKPOINT"
PROCESS_VARIABLE = "ORTHONTK_RUN_PROCESS"
PR_SET_PDEATHSIG = 1  # of Linux's prctl


@contextmanager
def claimed(config: DictConfig) -> Iterator[Path]:
    """The run's directory, held by its first process until the block ends; without it the other processes end too.

    Raises:
        InUse: another launch is running it.
    """
    with without_lightnings_handlers() if _is_distributed(config) else nullcontext(), _held(config) as path:
        yield path


@contextmanager
def _held(config: DictConfig) -> Iterator[Path]:
    path = Path(HydraConfig.get().runtime.output_dir)
    if _is_started_by_lightning():
        path = Path(os.environ[DIRECTORY_VARIABLE])
        if own_job() is None:  # in a SLURM job a thread is the parent, and ends with the run
            _end_with_parent(int(os.environ[PROCESS_VARIABLE]))
        with ending_with_holder(path):
            yield path
    elif process_number(config) > 0:
        path = _directory_of_first_process(path, str(config.resume))
        with ending_with_holder(path):
            yield path
    elif str(config.resume) == "never":
        with _own_sibling(path) as sibling, _saying_how_to_go_on(sibling, _there(sibling)):
            yield sibling
    else:
        with locked(path), _saying_how_to_go_on(path, "the same command"):
            yield path


def begin(config: DictConfig, path: Path) -> RunDirectory:
    """What the run begins from in the directory that it has claimed, the same in all its processes."""
    if _is_started_by_lightning():
        checkpoint = os.environ.get(CHECKPOINT_VARIABLE)
        return RunDirectory(path, Path(checkpoint) if checkpoint else None)
    remove_partials(path)
    directory = open_directory(path, str(config.resume))
    os.environ[DIRECTORY_VARIABLE] = str(directory.path)
    os.environ[CHECKPOINT_VARIABLE] = str(directory.checkpoint or "")
    os.environ[PROCESS_VARIABLE] = str(os.getpid())
    sys.argv[1:] = _arguments_of_job()  # which Lightning starts its other processes with
    return directory


def _arguments_of_job() -> list[str]:
    """The command line of this job alone, not of a whole sweep, with where its configuration is looked for."""
    hydra = HydraConfig.get()
    return [f"--config-name={hydra.job.config_name}", *searching(config_folders()), *hydra.overrides.task]


def process_number(config: DictConfig) -> int:
    """This process's number among those of one distributed run, as Lightning counts; 0 in a run of one process."""
    return _get_rank() or 0 if _is_distributed(config) else 0


def _is_distributed(config: DictConfig) -> bool:
    devices = OmegaConf.select(config, "trainer.devices")
    nodes = OmegaConf.select(config, "trainer.num_nodes", default=1)
    return not devices == nodes == 1


def _is_started_by_lightning() -> bool:
    return DIRECTORY_VARIABLE in os.environ and os.environ.get("LOCAL_RANK", "0") != "0"


def _end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent ends: training on, it would not hold the directory."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # which has ended before
        os._exit(1)


@contextmanager
def _own_sibling(path: Path) -> Iterator[Path]:
    """An unused one, or that which this SLURM job began before it was requeued, which may be finished."""
    if left := _left_before_requeue(path):
        with locked(left):
            yield left
        return
    for sibling in siblings(path):
        if not is_unused(sibling):
            continue
        try:
            with locked(sibling, patience=0.0):
                yield sibling
                return
        except InUse as error:
            if error.path != sibling:  # from inside the block
                raise


@contextmanager
def _saying_how_to_go_on(path: Path, command: str) -> Iterator[None]:
    """Let Ctrl-C say which command goes on, and from which step."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"{command} {_continues(path)}") from error


def _there(sibling: Path) -> str:
    """The command that goes on there: the same would begin anew."""
    place = f"hydra.run.dir={quoted(sibling)}"
    return f"with {shlex.quote(place)} in place of resume=never the command"


def _continues(path: Path) -> str:
    chunks = sorted((path / CHUNKS).glob("*"))  # of an ensemble, each with checkpoints of its own
    unfinished = [chunk for chunk in chunks if not (chunk / CHUNK_RESULT).exists()]
    done = len(chunks) - len(unfinished)
    steps = [saved_step(saved) for saved in map(latest_checkpoint, unfinished or [path]) if saved is not None]
    behind = f" behind {counted(done, 'chunk')} of its ensemble" if done else ""
    if any(steps):
        return f"continues this run{behind} from step {max(steps)}, the last that is saved"
    return f"continues this run{behind}" if done else "starts this run over, as no step is saved yet"


def _directory_of_first_process(path: Path, resume: str) -> Path:
    if resume != "never":
        wait_for_first_process(path)
        return path
    if left := _left_before_requeue(path):
        return left
    return next(sibling for sibling in siblings(path) if _is_own(holder_of(sibling)) or _is_free(sibling))


def _left_before_requeue(path: Path) -> Path | None:
    """The last sibling that this SLURM job, which was requeued, has begun."""
    if not commands.is_requeued():
        return None
    begun = [sibling for sibling in existing_siblings(path) if not is_unused(sibling)]
    return next((sibling for sibling in reversed(begun) if _is_own(last_holder(sibling))), None)


def _is_own(holder: Holder | None) -> bool:
    return holder is not None and holder.job == own_job()


def _is_free(path: Path) -> bool:
    return is_unused(path) and holder_of(path) is None
