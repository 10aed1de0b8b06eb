"""Start a W&B run without what it does for W&B Launch, and without asking for the installed packages at every run."""

from functools import cache
from typing import Any


def start_run(**settings: Any) -> Any:
    """`wandb.init(**settings)`, two to three seconds sooner.

    At the start of every run W&B imports its launch agent and 80 pydantic models, to look for inputs that a script has
    declared to W&B Launch. This project declares none. It also reads every installed package's metadata, which stay the
    same while a process lives, and imports pandas to ask whether a chart is a data frame, which without pandas it tells
    by the type's name.
    """
    from wandb.sdk.wandb_run import Run

    import wandb

    wandb.util.pd_available = False
    look_for_inputs, packages = Run._detect_and_apply_job_inputs, wandb.util.working_set
    Run._detect_and_apply_job_inputs = lambda self: None
    wandb.util.working_set = lambda: _installed(packages)
    try:
        return wandb.init(**settings)
    finally:
        Run._detect_and_apply_job_inputs, wandb.util.working_set = look_for_inputs, packages


@cache
def _installed(packages: Any) -> tuple[Any, ...]:
    return tuple(packages())
