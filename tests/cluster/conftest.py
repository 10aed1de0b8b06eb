"""One SLURM for all tests of this folder, and multiruns in it."""

import pytest
from multiruns import Multirun
from slurm_cluster import slurm

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
