"""Where in a user's own code, a study or a model outside this package, an error was raised."""

import sysconfig
import traceback
from pathlib import Path

# This package, and what was installed.
NOT_OWN = (Path(__file__).parent, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")))


def in_own_code(error: BaseException) -> str:
    """` at FILE:LINE` of the innermost frame in a user's file, nothing if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(Path(frame.filename))]
    return f" at {own[-1].filename}:{own[-1].lineno}" if own else ""


def _is_own(file: Path) -> bool:
    return file.is_file() and not any(file.is_relative_to(folder) for folder in NOT_OWN)
