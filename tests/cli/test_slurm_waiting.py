"""Waiting for SLURM's jobs ends with them, however they ended."""

from types import SimpleNamespace

import pytest

from orthontk.slurm import commands
from orthontk.slurm.waiting import wait_for


@pytest.mark.parametrize("state", ["FAILED", "REVOKED", "SPECIAL_EXIT", "LAUNCH_FAILED", "RECONFIG_FAIL"])
def test_a_job_that_slurm_will_not_run_again_is_over(tmp_path, monkeypatch, state):
    looks = iter([{"7": "PENDING"}, {"7": state}])  # a third look fails
    monkeypatch.setattr(commands, "states", lambda jobs: next(looks))
    paths = SimpleNamespace(result_pickle=tmp_path / "result.pkl", stdout=tmp_path / "log.out")
    job = SimpleNamespace(job_id="7", num_tasks=1, task=lambda number: SimpleNamespace(paths=paths))
    (reason,) = wait_for([job], poll_seconds=0)
    assert reason.startswith(f"ended by SLURM as {state}, without a result\n")
