"""Hydra's own sweeper, with a preset's grids, and with every failed job named at the end instead of stopping others."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus

from orthontk.cli import JobsFailed, describe
from orthontk.grids import Grid, as_override, grids_at_scale, refuse_several, with_choices


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
        super().__init__(max_batch_size, params)
        self.grids, self.scale = grids, scale

    def sweep(self, arguments: list[str]) -> Any:
        refuse_several(arguments)
        failures: dict[str, str] = {}
        self.launcher = _CollectFailures(self.launcher, failures)
        returns = super().sweep(arguments)
        if failures:
            raise JobsFailed(failures, total=sum(map(len, returns)))
        return returns

    def split_arguments(self, overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        """Batches of jobs, each a list of overrides; a job that two grids share is run once."""
        jobs = jobs_of(grids_at_scale(self.grids, self.scale), overrides)
        return list(self.split_overrides_to_chunks(jobs, max_batch_size))


def jobs_of(grids: Sequence[Grid], overrides: Sequence[Override]) -> list[list[str]]:
    """Every job of the grids, the command line's `overrides` in place of a grid's own values."""
    parser = OverridesParser.create()
    jobs = []
    for grid in with_choices(grids, overrides):
        own = parser.parse_overrides([f"{key}={as_override(value)}" for key, value in grid.items()])
        (product,) = BasicSweeper.split_arguments([*own, *overrides], None)
        jobs += [job for job in product if job not in jobs]
    return jobs


class _CollectFailures:
    """A launcher that keeps failures aside instead of letting the sweeper raise the first one."""

    def __init__(self, launcher: Any, failures: dict[str, str]) -> None:
        self.launcher, self.failures = launcher, failures

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        results = self.launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        for overrides, result in zip(job_overrides, results, strict=True):
            if result.status == JobStatus.FAILED:
                self.failures[" ".join(overrides)] = describe(result._return_value)
                result.status, result.return_value = JobStatus.COMPLETED, None
        return results


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
