"""`python train.py …` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

from orthontk.flags import flags_and_settings

ROOT = Path(__file__).parents[1]


def launched(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """How it ended; flags may stand anywhere. It has one thread, and `variables` in its environment."""
    flags, settings = flags_and_settings(arguments)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "train.py", *flags, *settings]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
