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


DRIFT = {"_target_": "orthontk.studies.KernelDrift", "ntk_slope_above": 0.5, "change_margin": 0.1,
         "smallest_width": 1, "smallest_channels": 1}  # fmt: skip


def make_drift(folder: Path, family: str, width: int, change, **settings) -> Path:
    """A run of a study, diverged if its kernel's change is no number."""
    model = {"_target_": f"orthontk.networks.{family}", "activation": "erf", "depth": 2, "width": width}
    study = {"name": "drift", "scale": "quick", "study": DRIFT, "init": {"scheme": "gaussian"}} | settings
    run = make_run(folder / "drift" / f"{family}-{width}", model=model, data={"source": "gaussian"}, **study)
    (run / "metrics.csv").write_text(f"step,ntk/change\n0,0.0\n9,{change}\n")
    summary = {"status": "finished", "steps": 9, "diverged": change == "nan", "metrics": {}}
    (run / "summary.json").write_text(json.dumps(summary))
    return run
