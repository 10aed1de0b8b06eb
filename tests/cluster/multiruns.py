"""`python train.py -m …` as a process of its own, here or on a cluster."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from slurm_cluster import Cluster

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Multirun:
    """`python train.py -m …` in a folder of its own, where its results go to `outputs`.

    Args:
        pace: seconds that each step of a training with `pacing.Pace` takes at least.
    """

    folder: Path
    cluster: Cluster | None = None
    arguments: tuple[str, ...] = ()
    pace: float = 0.0
    process: subprocess.Popen[str] = field(init=False)

    def start(self) -> "Multirun":
        self.folder.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        environment = {**(self.cluster.environment if self.cluster else os.environ), "PYTHONPATH": path}
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), "-m", *self.arguments],
            cwd=self.folder,
            env={**environment, "OMP_NUM_THREADS": "1", "PACE": str(self.pace)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self

    def end(self) -> tuple[int, str, str]:
        """Exit code, output and errors, once it has ended."""
        out, errors = self.process.communicate(timeout=1800)
        return self.process.returncode, out, errors

    @property
    def runs(self) -> dict[str, Path]:
        """The run directories by name."""
        return {path.parent.name: path.parent for path in self.folder.glob("outputs/*/*/summary.json")}
