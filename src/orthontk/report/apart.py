"""What tells the runs of a study apart beyond the columns of its table, so that nothing but seeds counts as seeds."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orthontk.checks import InvalidValue
from orthontk.report.gather import Run
from orthontk.runs.collect import flatten

# What every table has columns for already.
IN_COLUMNS = {"run.seed", "init.scheme", "model.depth", "model.width", "data.source"}
IN_COLUMNS |= {"ensemble.seeds", "ensemble.inits", "ensemble.learning_rates"}
OWN = "its own"
# Where and how it is computed, which changes no measurement beyond rounding.
WITHOUT_EFFECT = {"run.scale", "checkpoint.every_n_steps", "checkpoint.keep", "trainer.accelerator", "trainer.devices"}
WITHOUT_EFFECT |= {"trainer.strategy", "data.eval_batch_size", "callbacks.kernel_fluctuation.batch"}
WITHOUT_EFFECT |= {"ensemble.chunk", "callbacks.ntk.memory_limit", "ensemble.memory_limit"}


def newest_of_each(runs: Sequence[Run]) -> list[Run]:
    """Of runs with the same settings, whose results are the same, the one that was finished last.

    One that measured less, such as a replica whose kernels were not, takes no other's place.
    """
    newest: dict[str, Run] = {}
    for run in sorted(runs, key=lambda run: (len({name for row in run.rows for name in row}), run.finished_at)):
        told = {key: value for key, value in _settings(run).items() if value != "none"}  # which is to have none
        newest[json.dumps(told, sort_keys=True)] = run
    return sorted(newest.values(), key=lambda run: run.directory)


def name_differences(runs: Sequence[Run], axes: Iterable[str] = ()) -> None:
    """Put into `differing` of each run its settings that are not the same in all of them.

    Args:
        axes: the settings, by dotted key, that are there even if they are the same.

    Raises:
        InvalidValue: no run has the group of one of `axes`.
    """
    axes = [axis for axis in axes if "." in axis]
    groups = dict.fromkeys(group for run in runs for group in run.config)
    for axis in axes:
        if axis.partition(".")[0] not in groups:
            raise InvalidValue("AXES", axis, f"a key in one of {', '.join(groups)}")
    settings = [_settings(run) | _own_batches(run) for run in runs]
    if "optimizer.momentum" not in axes:  # else it is no other optimizer
        settings = [own | _momentum(run) for run, own in zip(runs, settings, strict=True)]
    keys = {key for one in settings for key in one if not key.endswith("._partial_")} - IN_COLUMNS
    differing = [key for key in keys if len({one.get(key, "none") for one in settings}) > 1]
    # Callbacks last, which often repeat another setting; of each group its choice first.
    differing.sort(key=lambda key: (key.startswith("callbacks."), key.replace("_target_", "")))
    differing += [axis for axis in axes if axis not in differing]
    for run, own in zip(runs, settings, strict=True):
        run.differing = {key: own.get(key, "none") for key in differing}


def _own_batches(run: Run) -> dict[str, str]:
    """Each seed's own, for those replicas whose data.seed is their seed."""
    return {"data.seed": OWN} if run.get("ensemble.shared_batches") is False else {}


def _momentum(run: Run) -> dict[str, str]:
    """The choice that shares its class with another, under its own name."""
    choice = flatten({"optimizer": run.get("optimizer")}).get("optimizer")
    return {"optimizer._target_": choice} if choice == "momentum" else {}


def _settings(run: Run) -> dict[str, str]:
    """By dotted key, all that can change a result; those of no group are called `run.…`."""
    flat = {
        key: "none" if value is None else str(value)
        for group, inner in run.identity.items()
        for key, value in by_dotted_key(group, inner)
    }
    if run.get("schedule") == {}:
        flat["schedule._target_"] = "constant"
    if flat.get("ensemble.shared_batches") == "True":  # as in runs alone
        del flat["ensemble.shared_batches"]
    if flat.get("optimizer.lr_fraction", "none") != "none":
        flat.pop("optimizer.lr", None)  # which was found, for each seed its own
    if (stop := run.get("ensemble.stop")) is not None:  # of a replica, whose settings are those of a run alone
        flat["ensemble.stop"] = stop
    return {key: value for key, value in flat.items() if key not in WITHOUT_EFFECT}


def by_dotted_key(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The plain values in a nested setting `key`; of no group it is called `run.…`.

    >>> dict(by_dotted_key("init", {"scheme": {"spread": 0.3}, "coupled": True}))
    {'init.scheme.spread': 0.3, 'init.coupled': True}
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from by_dotted_key(f"{key}.{name}", inner)
    else:
        yield key if "." in key else f"run.{key}", value
