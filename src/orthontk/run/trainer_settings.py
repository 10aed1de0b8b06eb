"""Of the settings of Lightning's Trainer, which a user has and which a run decides by itself."""

import torch
from omegaconf import DictConfig, OmegaConf

from orthontk.checks import InvalidValue, boolean, integer, number, one_of

DECIDED = {"callbacks", "check_val_every_n_epoch", "default_root_dir", "enable_model_summary", "fast_dev_run"}
DECIDED |= {"limit_val_batches", "logger", "num_sanity_val_steps", "use_distributed_sampler"}
# Without effect: batches are drawn without asking Lightning, and the largest number of steps alone ends a training.
INSTEAD = {
    "limit_train_batches": "data.train_size",
    "overfit_batches": "data.train_size",
    "min_steps": "trainer.max_steps",
    "min_epochs": "trainer.max_epochs",
}
PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed")


def check_trainer(trainer: DictConfig) -> None:
    """Check `trainer`.

    Raises:
        InvalidValue: naming the key and what is accepted.
    """
    for key in sorted(DECIDED & set(trainer)):
        raise InvalidValue(f"trainer.{key}", trainer[key], "nothing: a run decides it by itself")
    for key, instead in INSTEAD.items():
        if key in trainer:
            raise InvalidValue(f"trainer.{key}", trainer[key], f"nothing; {instead} does what it would")
    if trainer.get("max_time") is not None:
        accepted = "null: what a run gives would depend on the machine's load; Ctrl-C leaves a checkpoint to go on from"
        raise InvalidValue("trainer.max_time", trainer.max_time, accepted)
    if trainer.max_steps is None and trainer.max_epochs is None:
        raise InvalidValue("trainer.max_steps", None, "an integer of at least 0, or trainer.max_epochs")
    for name, minimum in (("max_steps", 0), ("max_epochs", 1)):
        if trainer[name] is not None:
            integer(f"trainer.{name}", trainer[name], minimum)
    integer("trainer.val_check_interval", trainer.val_check_interval)
    integer("trainer.log_every_n_steps", trainer.log_every_n_steps)
    one_of("trainer.precision", trainer.precision, PRECISIONS)
    if trainer.get("gradient_clip_val") is not None:
        number("trainer.gradient_clip_val", trainer.gradient_clip_val, minimum=0)
    for name in ("tf32", "enable_progress_bar", "detect_anomaly"):
        boolean(f"trainer.{name}", trainer.get(name, False))
    if trainer.devices != "auto" and not OmegaConf.is_list(trainer.devices):
        integer("trainer.devices", trainer.devices)
    if trainer.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise InvalidValue("trainer.accelerator", trainer.accelerator, "cpu or auto: torch sees no GPU here")
    if trainer.get("accumulate_grad_batches", 1) != 1:
        accepted = "1; for a larger batch set data.batch_size"
        raise InvalidValue("trainer.accumulate_grad_batches", trainer.accumulate_grad_batches, accepted)
