"""Hydra's own sweeper, except that a failed job stops no other and every failed job is named at the end."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus

from orthontk.cli import JobsFailed, describe


class OrthontkSweeper(BasicSweeper):
    """Runs the grid of the command line as `BasicSweeper` does.

    Raises:
        JobsFailed: after every job has run, if any failed.
    """

    def sweep(self, arguments: list[str]) -> Any:
        failures: dict[str, str] = {}
        self.launcher = _CollectFailures(self.launcher, failures)
        returns = super().sweep(arguments)
        if failures:
            raise JobsFailed(failures, total=sum(map(len, returns)))
        return returns


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
    node={"_target_": "hydra_plugins.orthontk_sweeper.OrthontkSweeper", "max_batch_size": None, "params": None},
    provider="orthontk",
)
