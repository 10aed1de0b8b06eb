"""Which jobs of a multirun are left to launch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue

from orthontk.counted import counted
from orthontk.identity import run_hash
from orthontk.run.directory import is_finished
from orthontk.run.lock import Holder, holder_of
from orthontk.run.same_settings import require_same_job, require_same_settings
from orthontk.run.study_settings import study_settings

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
        return f"{counted(total, 'job')}: {', '.join([*parts, f'{len(self.launch)} to run'])}"


@dataclass(frozen=True)
class Place:
    """Where a job runs.

    Args:
        directory: None if it depends on the job's number.
        again: whether a finished run there is left alone.
        settings: the job's, if the directory is named by hand, which then does not tell them.
        study: the job's settings of that name, in plain types.
    """

    directory: Path | None
    again: bool = False
    settings: DictConfig | None = None
    study: Any = None


def place_of(overrides: Overrides, loader: Any, config: DictConfig) -> Place:
    """Compose a job as a launcher does, and say where it runs.

    Raises:
        ConfigCompositionException: the overrides do not compose.
        InvalidValue: a callback that has nothing to measure, as the settings tell.
    """
    composed = loader.load_sweep_config(config, list(overrides))
    before = HydraConfig.instance().cfg
    try:
        HydraConfig.instance().set_config(composed)
        _check_stable_rates(composed)
        places = [OmegaConf.select(composed, f"hydra.sweep.{key}", throw_on_missing=True) for key in ("dir", "subdir")]
    except (MissingMandatoryValue, InterpolationToMissingValueError):  # hydra.job.num is given by the launcher
        return Place(None, study=study_settings(composed))
    finally:
        HydraConfig.instance().cfg = before
    directory = Path(*map(str, places)).absolute()
    by_hand = not directory.name.endswith(run_hash(composed))
    again = str(composed.get("resume")) == "never"
    return Place(directory, again, composed if by_hand else None, study_settings(composed))


def _check_stable_rates(config: DictConfig) -> None:
    for name, node in (config.get("callbacks") or {}).items():
        if OmegaConf.is_dict(node) and str(node.get("_target_")).endswith(".LargestStableRate"):
            from orthontk.callbacks.stable_rate import check_stable_rate  # torch takes seconds to import

            check_stable_rate(config, name)


def refuse_other_settings(places: Iterable[Place]) -> None:
    """Refuse directories named by hand in which finished runs, or two jobs, have different settings.

    Raises:
        InvalidValue: naming the first key that differs.
    """
    first: dict[Path, DictConfig] = {}
    for place in places:
        if place.directory is None or place.settings is None or place.again:
            continue
        if is_finished(place.directory):
            require_same_settings(place.settings, place.directory)
        require_same_job(place.settings, first.setdefault(place.directory, place.settings), place.directory)


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
