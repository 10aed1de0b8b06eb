"""A run's name: readable at the front, and at the end a hash of everything that can change its result."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

# What cannot change a run's numbers, and so stays out of its hash. Everything else is in it.
WITHOUT_EFFECT = ("hydra", "logger", "paths", "resume", "name")
WITHOUT_EFFECT_IN_TRAINER = ("enable_progress_bar",)


def run_identity(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration less what cannot change the result."""
    # Key by key, each resolved where it stands: `hydra` refers to this hash and so cannot be part of it.
    identity = {key: _plain(config[key]) for key in config if key not in WITHOUT_EFFECT}
    for key in WITHOUT_EFFECT_IN_TRAINER:
        (identity.get("trainer") or {}).pop(key, None)
    return identity


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def run_hash(config: DictConfig) -> str:
    """Eight hexadecimal digits that differ between configurations with different results."""
    text = json.dumps(run_identity(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_name(config: DictConfig) -> str:
    """A directory name such as `cnn-orthogonal-tanh-L4-n32-mnist_5k-lr0.1-seed0-1a2b3c4d`."""
    return f"{_prefix(config)}-{run_hash(config)}"


def _prefix(config: DictConfig) -> str:
    model, init = config.get("model") or {}, config.get("init") or {}
    parts = [
        _last_word(model.get("_target_")),
        _last_word(init.get("scheme")),
        _last_word(model.get("activation")),
        f"L{model.get('depth')}" if "depth" in model else None,
        f"n{model.get('width')}" if "width" in model else None,
        (config.get("data") or {}).get("source"),
        _learning_rate(config.get("optimizer") or {}),
        f"seed{config.get('seed')}",
        None if config.get("mode") == "fit" else config.get("mode"),
    ]
    name = "-".join(str(part).lower() if i == 0 else str(part) for i, part in enumerate(parts) if part)
    return "".join(c if c.isalnum() or c in "-_.+" else "_" for c in name)[:120]


def _learning_rate(optimizer: Mapping[str, Any]) -> str:
    """lr0.1, or lr0.5max for half of the largest stable one."""
    fraction = optimizer.get("lr_fraction")
    return f"lr{optimizer.get('lr')}" if fraction is None else f"lr{fraction}max"


def _last_word(value: Any) -> str | None:
    """`orthontk.networks.FCN` gives FCN; a nested `_target_` its class."""
    if isinstance(value, dict | DictConfig):
        value = value.get("_target_")
    return str(value).rsplit(".", 1)[-1] if value else None


def register_resolvers() -> None:
    """Make `${run_name:}` and `${run_directory:ROOT}` available to configurations."""

    def directory(root: str, *, _root_: DictConfig) -> str:
        return str(Path(root) / str(_root_.name) / run_name(_root_))

    def name(*, _root_: DictConfig) -> str:
        return run_name(_root_)

    OmegaConf.register_new_resolver("run_directory", directory, replace=True)
    OmegaConf.register_new_resolver("run_name", name, replace=True)
