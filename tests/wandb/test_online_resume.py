"""An online run that goes on: W&B is sent the steps that it does not have, and no other."""

import pytest

from launched import launched
from orthontk.loggers import read_metrics
from small_run import SMALL


@pytest.mark.slow
def test_steps_made_with_another_logger_arrive_when_the_run_goes_on(backend, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    run = tmp_path / "run"
    for steps, logger in ((6, "wandb"), (10, "csv"), (14, "wandb")):
        (run / "summary.json").unlink(missing_ok=True)  # as if stopped there
        online = ["logger.wandb.mode=online"] if logger == "wandb" else []
        settings = [f"logger={logger}", *online, f"trainer.max_steps={steps}", f"hydra.run.dir={run}"]
        done = launched("model=fcn", *SMALL, "callbacks.ntk.steps=2", *settings, **backend.environment)
        assert done.returncode == 0, done.stdout + done.stderr
    (recorded,) = backend.runs.values()
    rows = read_metrics(run / "metrics.csv")
    assert recorded.steps() == [row["step"] for row in rows] == list(range(15))
    assert not backend.unknown
