"""Where in a user's own code, a study or a model outside this package, an error was raised."""

import sysconfig
import traceback
from pathlib import Path
from types import FrameType

# This package with its plugins, and what was installed.
NOT_OWN = (Path(__file__).parents[1], *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")))


def in_own_code(error: BaseException) -> str:
    """` at FILE:LINE` of the innermost frame in a user's file, nothing if there is none."""
    frames = traceback.walk_tb(error.__traceback__)
    own = [(frame.f_code.co_filename, line) for frame, line in frames if _is_own(frame)]
    return " at {}:{}".format(*own[-1]) if own else ""


def how_found(target: str, error: BaseException) -> str:
    """What lets Python find a module outside this package that `error` says it has not found; else nothing.

    Args:
        target: the dotted name of what is in it.
    """
    if not isinstance(error, ModuleNotFoundError) or error.name != target.partition(".")[0]:
        return ""
    return "; PYTHONPATH=FOLDER finds it if FOLDER has it, such as the one that a run was started in"


def _is_own(frame: FrameType) -> bool:
    file, is_command = Path(frame.f_code.co_filename), frame.f_globals.get("__name__") == "__main__"
    return file.is_file() and not is_command and not any(file.is_relative_to(folder) for folder in NOT_OWN)
