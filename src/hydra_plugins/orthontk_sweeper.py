"""Hydra's own sweeper, with a preset's grids; jobs that are done are left out, those that fail are named at the end."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus

from orthontk.checks import InvalidValue, integer
from orthontk.errors import JobsFailed, describe
from orthontk.grids import Grid, as_override, grids_at_scale, refuse_several, with_choices
from orthontk.run.directory import CONFIG, latest_sibling
from orthontk.run.lock import InUse
from orthontk.run.study_settings import renew_studies
from orthontk.sweep.pending import Place, pending, place_of, refuse_other_settings
from orthontk.sweep.record import Job, write_record

MOST_COMPARED = 50  # runs in the table that a multirun ends with


class OrthontkSweeper(BasicSweeper):
    """Runs the grid of the command line, or each of a preset's grids with the command line's choices in it.

    Args:
        max_batch_size, params: as `BasicSweeper`.
        grids: by scale, a list of grids; each maps keys to values as the command line gives them ("32,64").
        scale: which of them to run.

    Raises:
        InvalidValue: several experiments or scales at once, or a scale that the preset does not have.
        JobsFailed: after every job has run, if any failed.
    """

    def __init__(
        self,
        max_batch_size: int | None = None,
        params: dict[str, str] | None = None,
        grids: Mapping[str, Sequence[Grid]] | None = None,
        scale: str | None = None,
    ) -> None:
        if max_batch_size is not None:
            integer("hydra.sweeper.max_batch_size", max_batch_size)
        super().__init__(max_batch_size, params)
        self.grids, self.scale = grids, scale

    def sweep(self, arguments: list[str]) -> Any:
        refuse_several(arguments)
        if not self.config.hydra.sweep.dir:  # which the current folder would be taken for
            raise InvalidValue("hydra.sweep.dir", "", "a folder")
        self.launcher = launcher = _PendingOnly(self.launcher)
        self.places = launcher.places
        returns = super().sweep(arguments)
        if not launcher.is_dry_run:
            self._compare()
        if launcher.failures or launcher.running:
            raise JobsFailed(launcher.failures, sum(map(len, returns)), launcher.running)
        return returns

    def split_arguments(self, overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """Batches of jobs, each a list of overrides; a job that two grids share is run once.

        Every job is composed here, before any is launched, and the multirun is recorded, if it is no dry run.
        """
        jobs = jobs_of(grids_at_scale(self.grids, self.scale), overrides)
        for job in jobs:
            self.places[tuple(job)] = place_of(job, self.hydra_context.config_loader, self.config)
        refuse_other_settings(self.places.values())
        self._check_studies()
        if not self.launcher.is_dry_run:
            self._record(jobs)
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))

    def _check_studies(self) -> None:
        """Before hours of training, not when they shall be judged."""
        studies = {str(place.study): place.study for place in self.places.values() if place.study is not None}
        for study in studies.values():
            from orthontk.studies.from_settings import study_from  # pandas and matplotlib take a second to import

            study_from(study)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Nothing: every job has been composed."""

    def _compare(self) -> None:
        """Print a table of what there is of the runs, if there are several, or what prints it if there are many."""
        from orthontk.runs.collect import entries_of
        from orthontk.runs.show import show

        places = [place for place in self.places.values() if place.directory]
        directories = [latest_sibling(place.directory) if place.again else place.directory for place in places]
        begun = [directory for directory in dict.fromkeys(directories) if (directory / CONFIG).exists()]
        root = Path(str(self.config.hydra.sweep.dir)).absolute()
        if len(begun) > MOST_COMPARED:
            print(f"{len(begun)} runs; python -m orthontk.runs {os.path.relpath(root)} compares them")
        elif len(begun) > 1:
            show([entry for directory in begun for entry in entries_of(directory)], root)

    def _record(self, jobs: Sequence[Sequence[str]]) -> None:
        sweep_directory = Path(str(self.config.hydra.sweep.dir)).absolute()
        named = []
        for job in jobs:
            place = self.places[tuple(job)]
            if place.directory is None:
                return
            named.append(Job(list(job), os.path.relpath(place.directory, sweep_directory), place.again))
        write_record(sweep_directory, sys.argv, named)


def jobs_of(grids: Sequence[Grid], overrides: Sequence[Override]) -> list[list[str]]:
    """Every job of the grids, the command line's `overrides` in place of a grid's own values."""
    parser = OverridesParser.create()
    jobs = []
    for override in overrides:
        if override.is_interval_sweep():
            key, _, value = str(override.input_line).partition("=")
            raise InvalidValue(key, value, "values or a range, as an interval has no next value")
    chosen, replacing = with_choices(grids, overrides)
    for grid in chosen:
        own = parser.parse_overrides([f"{key}={as_override(value)}" for key, value in grid.items()])
        for override in (*own, *replacing):
            _require_values(override)
        (product,) = BasicSweeper.split_arguments([*own, *replacing], None)
        jobs += [job for job in product if job not in jobs]
    return jobs


def _require_values(override: Override) -> None:
    """Refuse a sweep over nothing, such as `range(2,1)`."""
    if override.is_sweep_override() and next(override.sweep_string_iterator(), None) is None:
        key, _, value = str(override.input_line).partition("=")
        raise InvalidValue(key, value, "at least one value")


class _PendingOnly:
    """A launcher that is given the jobs that are left to do, and whose failures are kept aside.

    Attributes:
        places: where each job runs, by its overrides.
        failures: by its overrides, the reason of each job that failed.
        running: likewise, of each job that another process is running.
    """

    def __init__(self, launcher: Any) -> None:
        self.launcher = launcher
        self.places: dict[tuple[str, ...], Place] = {}
        self.failures: dict[str, str] = {}
        self.running: dict[str, str] = {}

    @property
    def is_dry_run(self) -> bool:
        """Whether the jobs are only printed."""
        return getattr(self.launcher, "dry_run", False)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        jobs = pending([self.places[tuple(overrides)] for overrides in job_overrides])
        for number, holder in jobs.running.items():
            self.running[" ".join(job_overrides[number])] = str(holder)
        if len(jobs.launch) < len(job_overrides):
            print(jobs, flush=True)
        if not self.is_dry_run:
            places = [self.places[tuple(job_overrides[number])] for number in jobs.finished]
            renew_studies((place.directory, place.study) for place in places)
        launched = [job_overrides[number] for number in jobs.launch]
        results = self.launcher.launch(launched, initial_job_idx=initial_job_idx) if launched else []
        for overrides, result in zip(launched, results, strict=True):
            self._keep_failure(" ".join(overrides), result)
        of_job = dict(zip(jobs.launch, results, strict=True))
        return [of_job.get(number) or _skipped(job) for number, job in enumerate(job_overrides)]

    def _keep_failure(self, job: str, result: JobReturn) -> None:
        if result.status == JobStatus.FAILED:
            error = result._return_value
            if isinstance(error, InUse):
                self.running[job] = str(error.holder)
            else:
                self.failures[job] = describe(error)
            result.status, result.return_value = JobStatus.COMPLETED, None


def _skipped(overrides: Sequence[str]) -> JobReturn:
    return JobReturn(overrides=overrides, status=JobStatus.COMPLETED)


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="orthontk",
    node={
        "_target_": "hydra_plugins.orthontk_sweeper.OrthontkSweeper",
        "max_batch_size": None,
        "params": None,
        "grids": None,
        "scale": "${oc.select:scale,null}",
    },
    provider="orthontk",
)
