"""One SLURM for all tests of this folder, and multiruns in it."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from slurm_cluster import Cluster, slurm

ROOT = Path(__file__).parent.parent.parent
ON_THE_CLUSTER = (
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.gpus_per_node=null",
    "hydra.launcher.mem_gb=1",
    "hydra.launcher.poll_seconds=1",
)


@pytest.fixture(scope="session")
def cluster():
    with slurm() as running:
        yield running


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


@pytest.fixture
def multirun(tmp_path, cluster):
    """`multirun("folder", …)` starts one on SLURM; `launcher=None` one in a single process here."""

    def start(folder: str, *arguments: str, launcher: str | None = "slurm", pace: float = 0.0) -> Multirun:
        if launcher is None:
            return Multirun(tmp_path / folder, None, arguments, pace).start()
        return Multirun(
            tmp_path / folder, cluster, (f"hydra/launcher={launcher}", *ON_THE_CLUSTER, *arguments), pace
        ).start()

    return start
