"""What every command shares: an error is one line that says what to change, and exit code 1."""

import functools
import gc
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from orthontk.checks import InvalidValue
from orthontk.errors import describe
from orthontk.extras import require_launcher
from orthontk.flags import flags_and_settings
from orthontk.identity import register_resolvers


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
            result = main()
            sys.stdout.flush()  # while an error of it can be caught
            return result
        except BrokenPipeError:  # whoever read this, such as `head`, has what it wants
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left to be flushed
            sys.exit(128 + signal.SIGPIPE)
        except KeyboardInterrupt as interrupt:
            how = str(interrupt) or "the same command continues from its last checkpoint, if it has one"
            print(f"interrupted; {how}", file=sys.stderr)
            sys.exit(130)
        except Exception as error:  # whatever its kind, this is where it ends
            _exit_with(error)

    return wrapped


def flags_first(main: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap a command whose arguments Hydra reads: a flag between settings is refused in one line."""

    @functools.wraps(main)
    def wrapped() -> Any:
        _require_flags_first(sys.argv[1:])
        return main()

    return wrapped


def job(task: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """Wrap what Hydra runs for each job: alone, its error ends the command here, before Hydra adds lines of its own.

    In a multirun it is told at once, as launchers say nothing of a job before all have ended, and goes on to the
    sweeper, which names the failed jobs at the end. In a SLURM job the run survives interruptions, whoever has
    submitted it.
    """

    @functools.wraps(task)
    def wrapped(config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from orthontk.run.lock import InUse
        from orthontk.slurm.interruption import surviving

        try:
            surviving(lambda: task(config))
        except Exception as error:
            if HydraConfig.get().mode != RunMode.MULTIRUN:
                _exit_with(error)
            if not isinstance(error, InUse):  # which is no failure: another launch runs it
                print(f"{Path(HydraConfig.get().runtime.output_dir).name}: failed; {describe(error)}", flush=True)
            raise

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


def _require_flags_first(arguments: Sequence[str]) -> None:
    """Refuse a flag between settings: Hydra's parser takes none of those that follow it, and only prints its usage.

    Raises:
        ValueError: naming the flag.
    """
    flags, settings = flags_and_settings(arguments)
    if not settings or not all("=" in setting or setting.startswith("~") for setting in settings):
        return  # no command line of settings, or a flag that may have a value, as `--info plugins`
    start = arguments.index(settings[0])
    if list(arguments[start : start + len(settings)]) != settings:
        better = shlex.join([*flags, *settings])
        raise ValueError(f"{flags[start]}: expected before all KEY=VALUE, so as: {better}")


def _exit_with(error: Exception) -> None:
    if os.environ.get("ORTHONTK_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"error: {describe(error)}", file=sys.stderr)
    sys.exit(1)
