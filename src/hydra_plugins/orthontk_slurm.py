"""Hydra's launcher for SLURM: the jobs of a multirun as one job array, by way of submitit.

`conf/hydra/launcher/slurm.yaml` holds its settings.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, filter_overrides, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from orthontk.checks import InvalidValue, integer, number
from orthontk.counted import counted
from orthontk.errors import JobFailed, describe
from orthontk.identity import register_resolvers

AT_LEAST = {"nodes": 1, "tasks_per_node": 1, "gpus_per_node": 0, "cpus_per_task": 1, "timeout_min": 1}
AT_LEAST |= {"signal_delay_s": 0, "array_parallelism": 1}


class SlurmLauncher(Launcher):
    """Submits an array, waits for its end, and says of each job whether it failed and why.

    Args:
        submitit_folder: for scripts and logs.
        dry_run: only print what would be submitted.
        poll_seconds: between two looks at the queue.
        parameters: of the jobs; see the configuration.

    Raises:
        InvalidValue: a number that is none, or that no job could have.
    """

    def __init__(self, submitit_folder: str, dry_run: bool, poll_seconds: float, **parameters: Any) -> None:
        self.folder, self.dry_run, self.poll_seconds = submitit_folder, dry_run, poll_seconds
        self.parameters = parameters
        number("hydra.launcher.poll_seconds", poll_seconds, above=0)
        if parameters.get("mem_gb") is not None:
            number("hydra.launcher.mem_gb", parameters["mem_gb"], above=0)
        for name, minimum in AT_LEAST.items():
            if parameters.get(name) is not None:
                integer(f"hydra.launcher.{name}", parameters[name], minimum)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        executor = self._executor()
        names = [" ".join(filter_overrides(overrides)) for overrides in job_overrides]
        if self.dry_run:
            print(executor.script(len(names)))
            print(f"# {counted(len(names), 'job')} would be submitted with this script:")
            print(*(f"#   {number}: {name}" for number, name in enumerate(names)), sep="\n", flush=True)
            return [_returned(overrides) for overrides in job_overrides]
        from orthontk.slurm.waiting import explain_interrupt, wait_for

        state = Singleton.get_state()
        arguments = [(list(job), initial_job_idx + place, state) for place, job in enumerate(job_overrides)]
        jobs = executor.submit_all(self, arguments)
        parent = jobs[0].job_id.partition("_")[0]
        print(f"submitted {counted(len(jobs), 'job')} as SLURM job {parent}; logs are in {executor.folder}", flush=True)
        try:
            reasons = wait_for(jobs, self.poll_seconds)
        except KeyboardInterrupt:
            explain_interrupt(jobs)
            raise
        return [_returned(overrides, reason) for overrides, reason in zip(job_overrides, reasons, strict=True)]

    def _executor(self) -> Any:
        try:
            from orthontk.slurm.executor import Executor
        except ModuleNotFoundError as error:
            raise InvalidValue("hydra/launcher", "slurm", "pip install 'orthontk[slurm]' first") from error
        return Executor(self.folder, self.parameters)

    def __call__(self, overrides: list[str], number: int, singletons: dict[type, Singleton]) -> str | None:
        """Run one job, in a task of it: None, or why it failed, which its log and its exit code say too."""
        from submitit import JobEnvironment

        from orthontk.slurm.interruption import listen

        listen()
        logging.getLogger("submitit").setLevel(logging.WARNING)  # a log ends with the job's own words
        environment = JobEnvironment()
        result = environment.paths.result_pickle
        with suppress(FileNotFoundError):  # left by a task that was killed; submitit would refuse to go on
            result.with_suffix(result.suffix + ".save_tmp").unlink()
        Singleton.set_state(singletons)
        setup_globals()
        register_resolvers()
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config.hydra.job) as job:
            job.id, job.num = environment.job_id, number
        returned = run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        return None if returned.status == JobStatus.COMPLETED else _fail(returned._return_value)


def _fail(error: Exception) -> str:
    reason = describe(error)
    if not isinstance(error, InvalidValue):
        traceback.print_exception(error)
    print(f"error: {reason}", file=sys.stderr, flush=True)
    atexit.register(_exit_with_failure)  # submitit would end a job that has a result with 0
    return reason


def _exit_with_failure() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


def _returned(overrides: Sequence[str], reason: str | None = None) -> JobReturn:
    status = JobStatus.COMPLETED if reason is None else JobStatus.FAILED
    return JobReturn(overrides=overrides, status=status, _return_value=None if reason is None else JobFailed(reason))
