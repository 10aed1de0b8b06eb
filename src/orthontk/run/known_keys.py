"""Keys that something reads. Another, such as a mistyped one, would change a run's hash and nothing else."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from orthontk.checks import InvalidValue

TOP_LEVEL = ("model", "init", "optimizer", "schedule", "loss", "data", "callbacks", "logger", "trainer", "ensemble")
TOP_LEVEL += ("checkpoint", "name", "scale", "study", "mode", "seed", "ckpt_path", "resume", "figures", "paths")
# With what is typed for each in a single run.
ENSEMBLE = dict.fromkeys(
    ("seeds", "inits", "learning_rates", "shared_batches", "stop", "kernels", "chunk", "memory_limit"), "null"
) | {"shared_batches": "true", "kernels": "all"}
# Its settings would be those of `experiment`, which nothing reads.
OF_PRESET = 'a preset whose file has "# @package _global_" as its first line'


def check_known(config: DictConfig) -> None:
    """Refuse what is given under a key that nothing reads, and an object that nothing is made of.

    Raises:
        InvalidValue: naming the key, and the keys that there are.
    """
    if config.get("experiment") is not None:
        raise InvalidValue("experiment", HydraConfig.get().runtime.choices.get("experiment"), OF_PRESET)
    for key, value in (config.ensemble or {}).items():
        if key not in ENSEMBLE:
            raise InvalidValue(f"ensemble.{key}", value, f"one of the keys {', '.join(ENSEMBLE)}")
    for group in ("callbacks", "logger"):
        for name, node in (config.get(group) or {}).items():
            key, leaves_out = f"{group}.{name}", f"~{group}.{name} leaves it out"
            if not OmegaConf.is_dict(node):
                raise InvalidValue(key, node, f"its settings; {leaves_out}")
            if node.get("_target_") is None:
                raise InvalidValue(f"{key}._target_", None, f"a class, as {group}=NAME brings with it; {leaves_out}")


def check_added(config: DictConfig, overrides: Iterable[str], groups: Collection[str]) -> None:
    """Refuse a `+KEY` at the top level or of `paths` that nothing reads, not even another setting.

    Args:
        groups: those that a choice was made from; one of a user's own may be for code of the user's own.

    Raises:
        InvalidValue: naming the key.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        top, *inner = key.split(".")
        if top == "paths" and inner:  # which no constructor looks at
            top = f"paths.{inner[0]}"
        elif top in TOP_LEVEL or top in groups or top not in config:
            continue
        if override.startswith("+") and not _is_read(config, top):
            raise InvalidValue(key, value, f"a key that is read, such as {', '.join(TOP_LEVEL)}")


def _is_read(config: DictConfig, key: str) -> bool:
    """Whether a setting is made of `key`, by an interpolation of it or of something in it, or by a resolver of one.

    Where Hydra puts the results, and how it starts the jobs, may be made of it, too.
    """
    nodes = [OmegaConf.to_container(config)]
    if HydraConfig.initialized():
        nodes += [OmegaConf.to_container(HydraConfig.get()[name]) for name in ("run", "sweep", "launcher")]
    name = re.compile(rf"(?<![\w.-]){re.escape(key)}(?![\w-])")
    interpolations = (re.search(r"\$\{.*\}", text, re.DOTALL) for text in _texts(nodes))
    # Of a relative one, the dots count levels.
    return any(name.search(re.sub(r"\{\.+", "{", found[0])) for found in interpolations if found)


def _texts(value: Any) -> Iterable[str]:
    """Every text in a nested configuration."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
