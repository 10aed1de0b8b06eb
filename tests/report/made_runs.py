"""Run directories made by hand, for what needs files and no training."""

import json
from pathlib import Path

import yaml


def make_run(folder: Path, *, step: int | None = None, steps: int = 10, overrides=(), **settings) -> Path:
    """A run that has got to `step`, or is finished if that is None."""
    folder.mkdir(parents=True)
    config = {
        "name": folder.parent.name,
        "seed": 0,
        "trainer": {"max_steps": steps},
        "optimizer": {"lr": 0.1},
    } | settings
    (folder / "config.yaml").write_text(yaml.safe_dump(config | settings))
    (folder / "provenance.json").write_text(json.dumps({"command": ["train.py", *overrides]}))
    last = steps if step is None else step
    rows = [f"{done},{1 / (1 + done)}" for done in range(last + 1)]
    (folder / "metrics.csv").write_text("\n".join(["step,train/loss", *rows]) + "\n")
    if step is None:
        metrics = {"train/loss": 1 / (1 + last), "time/total": 2.0}
        summary = {"status": "finished", "steps": last, "diverged": False, "metrics": metrics}
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder
