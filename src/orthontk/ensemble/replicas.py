"""The grid of an ensemble: seeds × initializations × learning rates."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from orthontk.checks import SEEDS_END, InvalidValue, check_seed, integer, number
from orthontk.identity import ENSEMBLE_AXES

IDENTITY = ("seed", "init", "learning_rate")  # what names a replica in every table
COLUMNS = ("step", *IDENTITY)  # that a table of what was measured begins with


class Replica(NamedTuple):
    """One network of an ensemble; `number` is its place in the grid."""

    number: int
    seed: int
    init: str
    learning_rate: float

    @property
    def name(self) -> str:
        """Unique in its ensemble, and fit for a folder's name: `seed3-orthogonal-lr0.1`."""
        return f"seed{self.seed}-{self.init}-lr{self.learning_rate!r}"

    @property
    def identity(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in IDENTITY}


def is_ensemble(config: DictConfig) -> bool:
    """Whether any axis of `ensemble` is given."""
    ensemble = config.get("ensemble") or {}
    return any(ensemble.get(axis) is not None for axis in ENSEMBLE_AXES)


def grid(config: DictConfig) -> list[Replica]:
    """Every replica, ordered by learning rate, then initialization, then seed.

    So replicas of one learning rate are neighbours, also in a chunk of the grid. An axis that is null has the one value
    of `seed`, `init` or `optimizer.lr`; `ensemble.seeds=20` are 20 seeds from `seed` on.

    Raises:
        InvalidValue: an axis that is empty, repeats a value, or holds anything but what its key takes.
    """
    ensemble = config.ensemble
    seeds = _seeds(ensemble.seeds, config.seed)
    names = _distinct("inits", _listed("inits", ensemble.inits, [_scheme_name(config.init)]))
    lrs = _listed("learning_rates", ensemble.learning_rates, [config.optimizer.lr])
    rates = _distinct("learning_rates", [number("ensemble.learning_rates", rate, above=0) for rate in lrs])
    points = product(sorted(rates), names, seeds)
    return [Replica(number, seed, init, rate) for number, (rate, init, seed) in enumerate(points)]


def _seeds(seeds: Any, first: int) -> list[int]:
    if seeds is None:
        return [first]
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        end = first + integer("ensemble.seeds", seeds)
        if end > SEEDS_END:
            accepted = f"at most {SEEDS_END - first}, as seeds from {first} are below 2^63"
            raise InvalidValue("ensemble.seeds", seeds, accepted)
        return list(range(first, end))
    return _distinct("seeds", [check_seed("ensemble.seeds", seed) for seed in _listed("seeds", seeds, [])])


def _listed(axis: str, values: Any, default: list[Any]) -> list[Any]:
    if values is None:
        return default
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) == 0:
        kind = "a number of seeds or a list of seeds" if axis == "seeds" else "a list that is not empty"
        raise InvalidValue(f"ensemble.{axis}", values, f"{kind}, or null")
    return list(values)


def _distinct(axis: str, values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise InvalidValue(f"ensemble.{axis}", values, "values that are all different")
    return values


def _scheme_name(init: DictConfig) -> str:
    """What `init` without `ensemble.inits` is called in tables: its scheme, or the function that has none."""
    scheme = init if init.get("scheme") is None else init.scheme
    if OmegaConf.is_config(scheme):
        scheme = scheme.get("_target_")
    return str(scheme).rsplit(".", 1)[-1]
