"""submitit's executor as this project uses it: scripts that can be shown, and tasks that no early signal kills."""

import math
import shlex
import shutil
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from submitit.core.utils import FailedJobError
from submitit.slurm.slurm import SlurmExecutor

from orthontk.checks import InvalidValue

# A signal that comes while Python starts would end it, and SLURM would take the job for failed. Ignored, it is followed
# by SIGKILL, after which SLURM requeues the job.
PYTHON = f'bash -c \'trap "" USR2 TERM; exec "$0" "$@"\' {shlex.quote(sys.executable)}'

# What `sbatch` says where no controller answers it: then no setting of a job is wrong.
UNREACHABLE = ("Unable to contact slurm controller", "Could not establish a configuration source")


class Executor(SlurmExecutor):
    """Submits jobs to SLURM.

    Args:
        folder: for scripts, pickles and logs; on a file system that all nodes share.
        parameters: as `hydra-submitit-launcher` calls them; null leaves SLURM's default.

    Raises:
        InvalidValue: a parameter that the launcher does not have, or a time limit that is over before it begins.
    """

    def __init__(self, folder: str | Path, parameters: Mapping[str, Any]) -> None:
        super().__init__(folder, python=PYTHON)
        own = self._equivalence_dict()  # the launcher's names, where submitit has others
        known = self._valid_parameters() - set(own.values()) | set(own)
        for name in sorted(set(parameters) - known):
            raise InvalidValue(f"hydra.launcher.{name}", parameters[name], "one of " + ", ".join(sorted(known)))
        given = self._convert_parameters({name: value for name, value in parameters.items() if value is not None})
        if given.get("signal_delay_s", 0) >= 60 * given.get("time", math.inf):
            accepted = f"more than hydra.launcher.signal_delay_s={given['signal_delay_s']}, in minutes"
            raise InvalidValue("hydra.launcher.timeout_min", given["time"], accepted)
        self.update_parameters(**given)

    @classmethod
    def affinity(cls) -> int:
        """That SLURM is there, as far as submitit is concerned: showing a script does not need it."""
        return 2

    def script(self, jobs: int) -> str:
        """The script that `sbatch` would get for so many jobs."""
        before = dict(self.parameters)
        if jobs > 1:
            self.parameters["map_count"] = jobs
        try:
            return self._make_submission_file_text(self._submitit_command_str, "")
        finally:
            self.parameters = before

    def submit_all(self, function: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """One job for each tuple of arguments, as an array where there are several.

        Raises:
            InvalidValue: SLURM is not there, or does not take them; with its words.
        """
        if shutil.which("sbatch") is None:
            raise InvalidValue("hydra/launcher", "slurm", "another launcher, as there is no sbatch on this machine")
        try:
            with redirect_stderr(StringIO()):  # where submitit repeats what is in its error
                return self.map_array(function, *zip(*arguments, strict=True))
        except FailedJobError as error:
            lines = [line.strip() for line in str(error).splitlines() if "error:" in line or "fatal:" in line]
            if any(words in str(error) for words in UNREACHABLE):
                accepted = f"another launcher, as sbatch reaches no SLURM from this machine; {' '.join(lines[-2:])}"
                raise InvalidValue("hydra/launcher", "slurm", accepted) from error
            raise InvalidValue("hydra.launcher", "…", f"what SLURM accepts; {' '.join(lines[-2:])}") from error
