"""A run's name: readable at the front, and at the end a hash of everything that can change its result."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from orthontk.checks import InvalidValue
from orthontk.files import sha256_of
from orthontk.grids import at_scale
from orthontk.run.checkpoint_files import whole_checkpoint
from orthontk.run.initializations import OWN_INITS, own_inits

# What cannot change a run's numbers, and so stays out of its hash. Everything else is in it.
WITHOUT_EFFECT = ("hydra", "logger", "paths", "resume", "name", "figures", "study")
ENSEMBLE_AXES = ("seeds", "inits", "learning_rates")
EVALUATED = "ckpt_content"  # in the settings that a run of mode=test writes: the content of `ckpt_path` then
WITHOUT_EFFECT_IN_TRAINER = ("enable_progress_bar",)


def run_identity(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration less what cannot change the result."""
    # Key by key, each resolved where it stands: `hydra` refers to this hash and so cannot be part of it.
    identity = {key: _plain(config[key]) for key in config if key not in WITHOUT_EFFECT}
    named = identity.pop(OWN_INITS, None)
    if not any(identity.get("ensemble", {}).get(axis) is not None for axis in ENSEMBLE_AXES):
        identity.pop("ensemble", None)  # of a single run, no setting of an ensemble is one
    else:
        _drop_replaced(identity)
        rates = identity["ensemble"].get("learning_rates")
        if isinstance(rates, list) and all(isinstance(rate, int | float) for rate in rates):
            rates.sort()  # in whichever order, they are the same replicas
        if named := named or own_inits(config):
            identity["init"][OWN_INITS] = _plain(named)
    if config.get("resume") not in ("auto", "never"):
        # What another run's checkpoint brings along is a setting. Its path, not what is there: a run directory that
        # trains on has another checkpoint then, and the same command would not find the run that it had begun.
        identity["resume"] = absolute(config.get("resume"))
    stored = identity.pop(EVALUATED, None)
    if identity.get("mode") == "test" and identity.get("ckpt_path") is not None:
        identity["ckpt_path"] = stored or content_of(identity["ckpt_path"])
    for key in WITHOUT_EFFECT_IN_TRAINER:
        (identity.get("trainer") or {}).pop(key, None)
    return identity


def absolute(path: Any) -> str:
    """The same path from every folder."""
    return os.path.abspath(str(path))


def content_of(path: Any) -> str:
    """What a checkpoint is, or a run directory's newest whole one, wherever it lies; where, if it cannot be read."""
    try:
        return f"sha256:{sha256_of(whole_checkpoint(str(path)) or str(path))[:16]}"
    except OSError:
        return absolute(path)


def replaced_settings(ensemble: Mapping[str, Any]) -> dict[str, str]:
    """By key or group, what `ensemble` sets for every replica, and what it would have to be for the key to count.

    Of the group `init`, `init.coupled` counts all the same.
    """
    replaced = {}
    if ensemble.get("learning_rates") is not None:
        replaced["optimizer.lr"] = "ensemble.learning_rates=null, as its values are the learning rates"
    if isinstance(ensemble.get("seeds"), Sequence):
        replaced["seed"] = "ensemble.seeds=null or a number of seeds from this one on, as its values are the seeds"
    if ensemble.get("inits") is not None:
        replaced["init"] = "ensemble.inits=null, as its names are the initializations"
    if ensemble.get("shared_batches") is False:
        replaced["data.seed"] = "ensemble.shared_batches=true, as otherwise it is each replica's seed"
    return replaced


def _drop_replaced(identity: dict[str, Any]) -> None:
    for key in replaced_settings(identity["ensemble"]):
        group, _, name = key.partition(".")
        if key == "init":
            identity["init"] = {"coupled": (identity.get("init") or {}).get("coupled")}
        elif name:
            (identity.get(group) or {}).pop(name, None)
        else:
            identity.pop(key, None)


def _plain(node: Any) -> Any:
    """Plain types; 2.0 and 2 are one value."""
    if OmegaConf.is_config(node):
        return _plain(OmegaConf.to_container(node, resolve=True))
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def first_difference(before: Any, now: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """The dotted key of the first setting that two identities differ in, and its two values; None if they agree.

    >>> first_difference({"seed": 0, "model": {"width": 8}}, {"seed": 0, "model": {"width": 9}})
    ('model.width', 8, 9)
    """
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)):
        return None if before == now else (key, before, now)
    for name in {**now, **before}:
        inner = f"{key}.{name}" if key else str(name)
        if found := first_difference(before.get(name), now.get(name), inner):
            return found
    return None


def run_hash(config: DictConfig) -> str:
    """Eight hexadecimal digits that differ between configurations with different results."""
    text = json.dumps(run_identity(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_name(config: DictConfig) -> str:
    """A directory name such as `cnn-orthogonal-tanh-L4-n32-mnist_5k-lr0.1-seed0-1a2b3c4d`."""
    return f"{_prefix(config)}-{run_hash(config)}"


def name_without_seed(config: Mapping[str, Any]) -> str:
    """A name that runs share which differ in `seed` alone, and in what `optimizer.lr_fraction` was found to be."""
    own = OmegaConf.create(config if isinstance(config, dict) else OmegaConf.to_container(config, resolve=True))
    if OmegaConf.select(own, "optimizer.lr_fraction") is not None:
        own.optimizer.lr = None
    own.seed = None
    return run_name(own)


def _prefix(config: DictConfig) -> str:
    model, init = config.get("model") or {}, config.get("init") or {}
    trained = config.get("mode") != "test"
    axes = {axis: (config.get("ensemble") or {}).get(axis) for axis in ENSEMBLE_AXES}
    parts = [
        str(_last_word(model.get("_target_"))).lower(),
        (_several(axes["inits"]) or _last_word(init.get("scheme"))) if trained else None,
        _last_word(model.get("activation")),
        f"L{model.get('depth')}" if "depth" in model else None,
        f"n{model.get('width')}" if "width" in model else None,
        (config.get("data") or {}).get("source"),
        _learning_rates(axes["learning_rates"], config.get("optimizer") or {}) if trained else None,
        _seeds(axes["seeds"], config.get("seed")) if trained else "test",
    ]
    return as_file_name("-".join(str(part) for part in parts if part))[:120]


def _learning_rate(optimizer: Mapping[str, Any]) -> str:
    """`lr0.1`, or `lr0.5max` for a fraction of the largest stable one."""
    fraction = optimizer.get("lr_fraction")
    return f"lr{_plain(optimizer.get('lr'))}" if fraction is None else f"lr{_plain(fraction)}max"


def _several(inits: Any) -> str | None:
    return "+".join(map(str, inits)) if isinstance(inits, Sequence) and not isinstance(inits, str) else None


def _learning_rates(rates: Any, optimizer: Mapping[str, Any]) -> str:
    """`lr0.1..2` for several."""
    if not isinstance(rates, Sequence) or not all(isinstance(rate, int | float) for rate in rates) or not rates:
        return _learning_rate(optimizer)
    return f"lr{_plain(min(rates))}..{_plain(max(rates))}"


def _seeds(seeds: Any, seed: Any) -> str | None:
    """`seed0`, or `20seeds` for several."""
    if seeds is None:
        return None if seed is None else f"seed{seed}"
    return f"{len(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else seeds}seeds"


def group_directory(root: str, config: DictConfig) -> Path:
    """The folder of all runs of one name. Raises InvalidValue for a name that no folder can have."""
    if not root:
        raise InvalidValue("paths.output_dir", "", "a folder")
    name = config.name
    is_text = isinstance(name, str | int) and not isinstance(name, bool)  # of 1.50 the second digit is gone
    if not is_text or str(name) != as_file_name(str(name)) or not str(name).strip("."):
        raise InvalidValue("name", name, "a folder's name, in quotes if it reads as a number: letters, digits and -_.+")
    return Path(root) / str(name)


def as_file_name(text: str) -> str:
    """A text with `_` for whatever else than letters, digits and -_.+ it has."""
    return "".join(c if c.isalnum() or c in "-_.+" else "_" for c in text)


def _last_word(value: Any) -> str | None:
    """`orthontk.networks.FCN` gives FCN; a nested `_target_` its class."""
    if isinstance(value, dict | DictConfig):
        value = value.get("_target_")
    return str(value).rsplit(".", 1)[-1] if value else None


def register_resolvers() -> None:
    """Make `${run_name:}`, `${group_directory:ROOT}`, `${run_directory:ROOT}` and `${at_scale:QUICK,PAPER}` known."""

    def group(root: str, *, _root_: DictConfig) -> str:
        return str(group_directory(root, _root_))

    def directory(root: str, *, _root_: DictConfig) -> str:
        return str(group_directory(root, _root_) / run_name(_root_))

    def name(*, _root_: DictConfig) -> str:
        return run_name(_root_)

    OmegaConf.register_new_resolver("at_scale", at_scale, replace=True)
    OmegaConf.register_new_resolver("group_directory", group, replace=True)
    OmegaConf.register_new_resolver("run_directory", directory, replace=True)
    OmegaConf.register_new_resolver("run_name", name, replace=True)
