"""Jobs that share a process or a cluster end as they do alone."""

import os
import sys

import pytest
import torch

from launched import launched
from orthontk.checks import InvalidValue
from orthontk.loggers import read_metrics
from orthontk.slurm.executor import Executor
from run_files import without_times
from small_run import SMALL

RANDOM = "callbacks=none", "+callbacks.draws._target_=random_draws.RandomDraws"


def train(*arguments):
    small = [override for override in SMALL if not override.startswith("callbacks.")]
    return launched("model=fcn", *small, *arguments, PYTHONPATH=os.pathsep.join(sys.path))


def results(directory):
    """All that a run measured and learned, but for wall-clock times."""
    (checkpoint,) = (directory / "checkpoints").iterdir()
    rows = without_times(read_metrics(directory / "metrics.csv"))
    return rows, torch.load(checkpoint, weights_only=True)["state_dict"]


def assert_same(one, other):
    (rows, weights), (other_rows, other_weights) = results(one), results(other)
    assert rows == other_rows
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights | other_weights)


def test_a_job_after_others_in_its_process_equals_itself(small, tmp_path):
    draws = "+callbacks.draws._target_=random_draws.RandomDraws"
    for name, seed in (("first", 1), ("between", 2), ("again", 1)):
        done = small(draws, f"seed={seed}", f"hydra.run.dir={tmp_path}/{name}")
        assert done.code == 0, done.err
    assert_same(tmp_path / "first", tmp_path / "again")
    first, between = results(tmp_path / "first")[0], results(tmp_path / "between")[0]
    assert first[0]["drawn/torch"] != between[0]["drawn/torch"]


@pytest.mark.parametrize("name, own", [("foo", "partition"), ("mem", "mem_gb"), ("time", "timeout_min")])
def test_a_setting_that_the_slurm_launcher_has_not_is_refused_by_its_name(tmp_path, name, own):
    """submitit's own names are none: beside the launcher's, which stand for the same, one would be lost."""
    with pytest.raises(InvalidValue, match=f"^hydra.launcher.{name}=1: expected one of ") as refused:
        Executor(tmp_path, {"nodes": 1, name: 1})
    accepted = refused.value.accepted.removeprefix("one of ").split(", ")
    assert own in accepted and name not in accepted


@pytest.mark.slow
def test_jobs_of_one_warm_process_equal_jobs_alone(tmp_path):
    together = train(
        "-m",
        *RANDOM,
        "seed=0,1,2",
        "hydra/launcher=joblib",
        "hydra.launcher.n_jobs=1",
        f"paths.output_dir={tmp_path}",
    )
    assert together.returncode == 0, together.stderr
    for seed in (0, 2):
        alone = train(*RANDOM, f"seed={seed}", f"hydra.run.dir={tmp_path}/alone-{seed}")
        assert alone.returncode == 0, alone.stderr
        (shared,) = tmp_path.glob(f"default/*-seed{seed}-*")
        assert_same(shared, tmp_path / f"alone-{seed}")


@pytest.mark.slow
def test_distributed_jobs_one_after_the_other(tmp_path):
    """Lightning must not take the second job's first process for one that the first job had started."""
    done = train("-m", "callbacks=none", "trainer=ddp", "seed=0,1", f"paths.output_dir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("default/*/summary.json"))) == 2


@pytest.mark.slow
def test_ray(tmp_path):
    """A multirun on a Ray of this machine alone: finished jobs are not sent, the failed one is named."""
    out = f"paths.output_dir={tmp_path}"
    assert train("callbacks=none", "seed=0", out).returncode == 0
    loopback = "+hydra.launcher.ray.init._node_ip_address=127.0.0.1", "+hydra.launcher.ray.init.include_dashboard=false"
    done = train("-m", "callbacks=none", "seed=0,1,-1", out, "hydra/launcher=ray", *loopback)
    assert done.returncode == 1, done.stderr
    assert "3 jobs: 1 finished already, 2 to run" in done.stdout
    end = done.stderr[done.stderr.rindex("error: ") :].splitlines()
    assert end[0] == "error: 1 of 3 jobs failed; the results of the others stand"
    assert "seed=-1: expected an integer of at least 0" in end[1]
    (on_ray,) = tmp_path.glob("default/*-seed1-*")
    assert train("callbacks=none", "seed=1", f"hydra.run.dir={tmp_path}/alone").returncode == 0
    assert_same(on_ray, tmp_path / "alone")
