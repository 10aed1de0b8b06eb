"""What every command shares: an error is one line that says what to change, and exit code 1."""

import functools
import gc
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from orthontk.checks import InvalidValue
from orthontk.extras import require_launcher
from orthontk.identity import register_resolvers


class JobFailed(Exception):
    """A job elsewhere that failed, with what is known of it: one line of a reason, then the last lines of its log."""


class JobsFailed(Exception):
    """Jobs of a multirun that are not done, by their overrides.

    Args:
        failures: those that failed, each with its one-line reason.
        total: the number of all jobs.
        running: those that another launch is running, each with the process that does.
    """

    def __init__(self, failures: dict[str, str], total: int, running: dict[str, str] | None = None) -> None:
        lines = []
        if failures:
            lines += [f"{len(failures)} of {total} jobs failed; the results of the others stand"]
            lines += [f"  {overrides}: {reason}" for overrides, reason in failures.items()]
        if running:
            lines += [f"{len(running)} of {total} jobs are left to another launch"]
            lines += [f"  {overrides}: being run by another process ({who})" for overrides, who in running.items()]
        super().__init__("\n".join(lines))


def command(main: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap a command's entry point: register what configurations need, and turn an error into one line.

    `ORTHONTK_DEBUG=1` in the environment shows the traceback instead.
    """

    @functools.wraps(main)
    def wrapped() -> Any:
        register_resolvers()
        os.environ["HYDRA_FULL_ERROR"] = "1"  # otherwise Hydra prints errors in its own way and exits
        try:
            require_launcher(sys.argv[1:])
            return main()
        except KeyboardInterrupt as interrupt:
            how = str(interrupt) or "the same command continues"
            print(f"interrupted; {how} from its last checkpoint, if it has one", file=sys.stderr)
            sys.exit(130)
        except Exception as error:  # whatever its kind, this is where it ends
            _exit_with(error)

    return wrapped


def job(task: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """Wrap what Hydra runs for each job: alone, its error ends the command here, before Hydra adds lines of its own.

    In a multirun the error goes on to the sweeper, which runs the other jobs and names the failed ones at the end. In a
    SLURM job the run survives interruptions, whoever submitted it.
    """

    @functools.wraps(task)
    def wrapped(config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from orthontk.slurm.interruption import surviving

        try:
            surviving(lambda: task(config))
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            _exit_with(error)

    return wrapped


@contextmanager
def importing() -> Iterator[None]:
    """Around imports of large libraries: they leave no garbage, and looking for it is a sixth of a command's start.

    What they made is left out of later searches, too.
    """
    known = len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        gc.enable()


def require_folder_of_runs(path: Path) -> None:
    """Refuse a command's DIR that is no folder.

    Raises:
        InvalidValue: there is none.
    """
    if not path.is_dir():
        raise InvalidValue("DIR", path, "a folder of runs, such as outputs")


def _exit_with(error: Exception) -> None:
    if os.environ.get("ORTHONTK_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"error: {describe(error)}", file=sys.stderr)
    sys.exit(1)


def describe(error: BaseException) -> str:
    """One line that names the key and what is accepted.

    >>> describe(InvalidValue("width", 0, "an integer of at least 1").within("model"))
    'model.width=0: expected an integer of at least 1'
    """
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException

    if isinstance(error, JobFailed | JobsFailed):
        return str(error)
    if refusal := _refusal_behind(error):
        value = "null" if refusal.value is None else refusal.value  # as the command line gives it
        return str(InvalidValue(refusal.name, value, refusal.accepted))
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{mark.name}, line {mark.line + 1}: {error.problem}; expected a YAML file"
    if isinstance(error, MissingConfigException):
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = error.options or sorted(p.stem for p in Path(sys.argv[0]).parent.glob(f"conf/{group}/*.yaml"))
        return str(InvalidValue(group, name, "one of " + ", ".join(options)))
    if isinstance(error, OverrideParseException):
        return f"{error.override}: expected KEY=VALUE; quote a value with special characters, 'KEY=\"VALUE\"'"
    if isinstance(error, ConfigCompositionException) and isinstance(error.__cause__, OmegaConfBaseException):
        return _describe_key(error.__cause__)
    if isinstance(error, ConfigCompositionException):
        return _one_line(error).replace("Ambiguous value for argument", "several values need -m (--multirun):")
    if isinstance(error, OmegaConfBaseException):
        return _describe_key(error)
    if isinstance(error, OSError) and error.filename is not None:
        places = "; expected paths.output_dir or hydra.run.dir to name a writable folder"
        return f"{error.filename}: {error.strerror}{'' if isinstance(error, FileNotFoundError) else places}"
    return _one_line(error)


def _refusal_behind(error: BaseException | None) -> InvalidValue | None:
    """The refusal that an error comes from: Hydra and OmegaConf wrap what a resolver raises in errors of their own."""
    while error is not None and not isinstance(error, InvalidValue):
        is_wrapped = isinstance(error, OmegaConfBaseException)  # which is raised without a cause
        error = error.__cause__ or (error.__context__ if is_wrapped else None)
    return error


def _describe_key(error: OmegaConfBaseException) -> str:
    """Name the key, and the keys that there are where it was looked for."""
    while isinstance(error.__cause__, OmegaConfBaseException):
        error = error.__cause__
    is_missing = isinstance(error, ConfigKeyError | ConfigAttributeError)
    if is_missing and error.full_key and isinstance(error.parent_node, DictConfig):
        there = [key for key in map(str, error.parent_node) if key != "hydra" and not key.startswith("_")]
        parent, _, _ = str(error.full_key).rpartition(".")
        where = parent or "the configuration"
        accepted = f"no such key in {where}; expected one of {', '.join(there)}" if there else f"{where} has no keys"
        return f"{error.full_key}: {accepted}"
    return _one_line(error)


def _one_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    message = lines[0] if lines else "no message"
    known = type(error).__module__.split(".")[0] in ("orthontk", "hydra", "omegaconf") or isinstance(error, ValueError)
    if message.startswith("Config group override"):  # such as model=null
        empty = [argument for argument in sys.argv[1:] if argument.endswith("=null")]
        return f"{' '.join(empty)}: expected the name of a configuration"
    return message if known else f"{type(error).__name__}: {message} (ORTHONTK_DEBUG=1 shows where)"
