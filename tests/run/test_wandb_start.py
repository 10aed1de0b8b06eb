"""A W&B run leaves alone what only W&B Launch needs, and pandas."""

import os
import subprocess
import sys

import pytest

START = """
import sys
import wandb
from orthontk.loggers.wandb_start import start_run
run = start_run(mode="offline", project="p", dir=sys.argv[1])
run.log({"loss": 1.0, "chart": wandb.plot.line_series([[0, 1]], [[2.0, 3.0]])})
run.finish()
print([name for name in sys.modules if name.startswith(("wandb.sdk.launch", "wandb.apis.public", "pandas"))])
"""


@pytest.mark.slow
def test_neither_is_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "WANDB_SILENT": "true"},
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
    assert len(list(tmp_path.glob("wandb/offline-run-*/*.wandb"))) == 1
