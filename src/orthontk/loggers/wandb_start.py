"""Start a W&B run without what it does for W&B Launch."""

from typing import Any


def start_run(**settings: Any) -> Any:
    """`wandb.init(**settings)`, two seconds sooner.

    At the start of every run W&B imports its launch agent and 80 pydantic models, to look for inputs that a script has
    declared to W&B Launch. This project declares none.
    """
    import wandb
    from wandb.sdk.wandb_run import Run

    look_for_inputs = Run._detect_and_apply_job_inputs
    Run._detect_and_apply_job_inputs = lambda self: None
    try:
        return wandb.init(**settings)
    finally:
        Run._detect_and_apply_job_inputs = look_for_inputs
