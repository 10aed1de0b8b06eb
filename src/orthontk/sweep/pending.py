"""Which jobs of a multirun are left to launch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from orthontk.run.directory import is_finished
from orthontk.run.lock import Holder, holder_of

Overrides = Sequence[str]


@dataclass
class Pending:
    """A batch of jobs, by their places in it, told apart by what there is to do."""

    launch: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    same: list[int] = field(default_factory=list)  # as another job of the batch, which is launched once
    running: dict[int, Holder] = field(default_factory=dict)

    def __str__(self) -> str:
        skipped = {
            "finished already": self.finished,
            "running elsewhere": self.running,
            "the same run as another": self.same,
        }
        total = len(self.launch) + sum(map(len, skipped.values()))
        parts = [f"{len(jobs)} {why}" for why, jobs in skipped.items() if jobs]
        return f"{total} jobs: {', '.join([*parts, f'{len(self.launch)} to run'])}"


@dataclass(frozen=True)
class Place:
    """A job's directory, None if it depends on the job's number; whether a finished run there is left alone."""

    directory: Path | None
    again: bool = False


def place_of(overrides: Overrides, loader: Any, config: DictConfig) -> Place:
    """Compose a job as a launcher does, and say where it runs.

    Raises:
        ConfigCompositionException: the overrides do not compose.
    """
    composed = loader.load_sweep_config(config, list(overrides))
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(composed)
        places = [OmegaConf.select(composed, f"hydra.sweep.{key}", throw_on_missing=True) for key in ("dir", "subdir")]
    except (MissingMandatoryValue, InterpolationToMissingValueError):  # hydra.job.num is given by the launcher
        return Place(None)
    finally:
        HydraConfig.instance().cfg = before
    return Place(Path(*map(str, places)).absolute(), again=str(composed.get("resume")) == "never")


def pending(places: Sequence[Place]) -> Pending:
    """Sort jobs by what there is to do for them."""
    found, seen = Pending(), set()
    for number, place in enumerate(places):
        if place.directory is None or place.again:
            found.launch.append(number)
        elif place.directory in seen:
            found.same.append(number)
        elif is_finished(place.directory):
            found.finished.append(number)
        elif holder := holder_of(place.directory):
            found.running[number] = holder
        else:
            found.launch.append(number)
        seen.add(place.directory)
    return found
