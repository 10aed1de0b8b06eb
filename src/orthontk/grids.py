"""A preset's own sweep: several grids, of which the command line may choose or change parts."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from omegaconf import DictConfig

from orthontk.checks import InvalidValue, one_of

Grid = Mapping[str, Any]  # keys to values as the command line gives them: "32,64" sweeps
SCALES = ("quick", "paper")
# Keys that a sweep has one value of, and why.
ONE_AT_A_TIME = dict.fromkeys(("experiment", "scale"), "each has its own grid")
ONE_AT_A_TIME |= dict.fromkeys(("name", "paths.output_dir"), "a multirun is recorded in one folder")


def at_scale(quick: Any, paper: Any, *, _root_: DictConfig) -> Any:
    """What `${at_scale:QUICK,PAPER}` stands for in a preset; an unknown scale is refused with the other settings."""
    return paper if _root_.get("scale") == "paper" else quick


def refuse_several(arguments: Sequence[str]) -> None:
    """Refuse several presets or scales in one sweep, whose grids Hydra would drop, and several folders.

    >>> refuse_several(["experiment=kernel_drift,lazy_sgd"])
    Traceback (most recent call last):
    orthontk.checks.InvalidValue: experiment=kernel_drift,lazy_sgd: expected one at a time, since each has its own grid
    """
    for override in OverridesParser.create().parse_overrides(list(arguments)):
        key = override.key_or_group
        if key in ONE_AT_A_TIME and override.is_sweep_override():
            _, _, value = str(override.input_line).partition("=")
            raise InvalidValue(key, value, f"one at a time, since {ONE_AT_A_TIME[key]}")


def grids_at_scale(grids: Mapping[str, Sequence[Grid]] | None, scale: str | None) -> list[Grid]:
    """The grids to run; a preset without any leaves the command line's, as if it were one empty grid.

    Raises:
        InvalidValue: there are none at this scale, or they are something else.
    """
    if grids is None:
        return [{}]
    if not isinstance(grids, Mapping):
        raise InvalidValue("hydra.sweeper.grids", grids, "null, or for each scale a list of grids")
    for name, value in grids.items():
        if not _are_grids(value):
            raise InvalidValue(f"hydra.sweeper.grids.{name}", value, "a list of grids, at least one, each KEY: VALUES")
    return [dict(grid) for grid in grids[one_of("scale", scale, grids)]]


def _are_grids(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) > 0 and all(isinstance(grid, Mapping) for grid in value)


def with_choices(grids: Sequence[Grid], overrides: Sequence[Override]) -> tuple[list[Grid], list[Override]]:
    """The grids that the command line's `overrides` choose, and those overrides that replace values in each of them.

    A key chooses if every grid fixes it to a name (`model: cnn`), not all to the same, and what it is given are such
    names. Numbers never choose: that a grid has one is no reason to leave out the others.

    Raises:
        InvalidValue: names of which some choose and others do not, or choices that no grid has together.
    """
    chosen, replacing = list(grids), []
    for override in overrides:
        key, given = override.get_key_element(), _values(override)
        fixed = [_name(key, grid.get(key)) for grid in grids]
        if None in fixed or len(set(fixed)) == 1 or not any(value in fixed for value in given):
            replacing.append(override)
            continue
        names = ", ".join(dict.fromkeys(name for name in fixed if name))
        _, _, text = str(override.input_line).partition("=")
        if not all(value in fixed for value in given):
            raise InvalidValue(key, text, f"some of {names}, which choose among the preset's grids, or none of them")
        chosen = [grid for grid in chosen if _name(key, grid[key]) in given]
        if not chosen:
            accepted = "a choice that one of the preset's grids has together with the others"
            raise InvalidValue(key, text, f"{accepted}; hydra.sweeper.grids=null leaves the grid to the command line")
    return chosen, replacing


def as_override(value: Any) -> str:
    """A grid's value as the command line would give it.

    >>> as_override(None), as_override(True), as_override("32,64")
    ('null', 'true', '32,64')
    """
    return str(value) if not isinstance(value, bool | None) else {None: "null", True: "true", False: "false"}[value]


def _values(override: Override) -> list[Any]:
    if override.is_sweep_override():
        return [value.text if isinstance(value, QuotedString) else value for value in override.sweep_iterator()]
    return [override.value()]


def _name(key: str, value: Any) -> str | None:
    """What a grid fixes a key to, if that is a name."""
    if not isinstance(value, str):
        return None
    (override,) = OverridesParser.create().parse_overrides([f"{key}={value}"])
    fixed = None if override.is_sweep_override() else override.value()
    return fixed if isinstance(fixed, str) else None
