"""`hydra/launcher=slurm` on a real SLURM: an array, its failures, what it would submit."""

import re

import pytest

from small_run import SMALL

pytestmark = [pytest.mark.slow, pytest.mark.slurm]


def test_an_array_with_a_failing_job(multirun, cluster):
    """The others finish; the failed one is named with the end of its log, to the launcher and to SLURM."""
    sweep = multirun("sweep", "model=fcn", *SMALL, "init=gaussian,orthogonal", "model.depth=2,0", "logger=wandb")
    code, out, errors = sweep.end()
    assert code == 1, errors
    (job,) = re.findall(r"submitted 4 jobs as SLURM job (\d+)", out)
    end = errors[errors.rindex("error: 2 of 4 jobs failed; the results of the others stand") :].splitlines()
    named = [line for line in end if "model.depth=0: expected an integer of at least 1" in line and "SLURM" not in line]
    assert len([line for line in named if line.startswith("  ") and not line.startswith("   ")]) == 2
    assert sum("| error: model.depth=0" in line for line in end) == 2
    assert "Traceback" not in errors
    assert [name.split("-")[1] for name in sorted(sweep.runs)] == ["gaussian", "orthogonal"]
    states = cluster.run("sacct", "-n", "-X", "-j", job, "--format=State,ExitCode").split("\n")
    assert sorted(line.split()[0] for line in states if line) == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]


def test_dry_run_submits_nothing(multirun, cluster):
    before = cluster.run("squeue", "-h", "--states=all", "-o", "%A")
    sweep = multirun("dry", "hydra.launcher.dry_run=true", "hydra.launcher.partition=high", "seed=0,1,2")
    code, out, errors = sweep.end()
    assert code == 0, errors
    assert "#SBATCH --array=0-2%3" in out and "#SBATCH --partition=high" in out and "srun" in out
    assert [line.split(": ")[1] for line in out.splitlines()[-3:]] == ["seed=0", "seed=1", "seed=2"]
    assert cluster.run("squeue", "-h", "--states=all", "-o", "%A") == before


def test_what_slurm_refuses_is_one_line(multirun):
    code, _, errors = multirun("refused", "hydra.launcher.partition=none", "seed=0,1").end()
    assert code == 1
    assert errors.startswith("error: ") and "invalid partition" in errors and len(errors.splitlines()) == 1
