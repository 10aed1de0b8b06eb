"""`wandb sweep` and `wandb agent` with the sweep files as they are, but for networks of a second."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb_backend import ENTITY, PROJECT

from orthontk.loggers import read_metrics
from small_run import SMALL

BIN = Path(sys.executable).parent
OWN = ("ensemble.", "scale=", "data=", "model.depth=20")  # what makes the files' own runs long
TINY = [setting for setting in SMALL if not setting.startswith(("logger", "model.depth", "callbacks"))]


@pytest.fixture
def workplace(tmp_path, request):
    """A folder that the agents work in, with the program; `run(*command)` runs there and returns what was printed."""
    for name in ("train.py", "conf", "src"):
        (tmp_path / name).symlink_to(request.config.rootpath / name)
    return tmp_path


def run(workplace, backend, *command):
    environment = {**os.environ, **backend.environment, "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{BIN}:{environment['PATH']}"
    done = subprocess.run(command, cwd=workplace, env=environment, capture_output=True, text=True, timeout=900)
    return done.returncode, done.stdout + done.stderr


def make_tiny(workplace, root, name, extra=()):
    """The sweep file with small networks, as one would change it by hand."""
    sweep = yaml.safe_load((root / "sweeps" / f"{name}.yaml").read_text())
    own = [part for part in sweep["command"] if not part.startswith(OWN)]
    place = own.index("${args_no_hyphens}")
    sweep["command"] = [*own[:place], *TINY, *extra, *own[place:]]
    path = workplace / f"{name}.yaml"
    path.write_text(yaml.safe_dump(sweep, sort_keys=False))
    return path


def start_sweep(workplace, backend, path):
    code, printed = run(workplace, backend, "wandb", "sweep", path.name)
    assert code == 0, printed
    return re.search(rf"wandb agent ({ENTITY}/{PROJECT}/\w+)", printed).group(1)


@pytest.mark.slow
def test_agent_trains_and_its_runs_report(workplace, backend, request):
    """Two points of the grid: one W&B run each, with the agent's id, in run directories of their own."""
    settings = ["ensemble.seeds=null", "ensemble.inits=null", "ensemble.learning_rates=null", "scale=quick"]
    path = make_tiny(workplace, request.config.rootpath, "learning_speed", settings)
    sweep = start_sweep(workplace, backend, path)
    points = [{"init.scheme": scheme, "model.depth": 3, "optimizer.lr": 0.1} for scheme in ("gaussian", "orthogonal")]
    backend.jobs = [*points]
    code, printed = run(workplace, backend, "wandb", "agent", sweep)
    assert code == 0, printed
    assert set(backend.runs) == {"agents1", "agents2"} and not backend.unknown, printed
    directories = sorted((workplace / "outputs" / "learning_speed").glob("fcn-*"))
    assert len(directories) == 2
    for recorded, directory, point in zip(backend.runs.values(), directories, points, strict=True):
        assert recorded.is_finished and recorded.sweep == "sweep"
        assert recorded.config["init"]["scheme"] == recorded.config["init.scheme"] == point["init.scheme"]
        rows = read_metrics(directory / "metrics.csv")
        assert recorded.steps() == [row["step"] for row in rows]
        for row, (_, sent) in zip(rows, sorted(recorded.history.items()), strict=True):
            assert {name: sent[name] for name in row if name != "step"} == pytest.approx(
                {name: value for name, value in row.items() if name != "step"}
            )
        # six steps are too few for half of the digits: censored, and still with a number for the optimizer
        assert recorded.summary["test/censored"] == 1 and "test/tau" not in recorded.summary
        assert recorded.summary["test/tau_at_least"] == 6
        assert "Ignoring" not in printed and "locked" not in printed

    before = {path: path.stat().st_mtime_ns for path in workplace.glob("outputs/learning_speed/*/metrics.csv")}
    backend.jobs = points[:1]
    code, printed = run(workplace, backend, "wandb", "agent", sweep)
    assert code == 0 and "finished already" in printed
    again, first = backend.runs["agents3"], backend.runs["agents1"]
    assert again.is_finished and again.steps() == first.steps()
    assert again.summary["test/tau_at_least"] == first.summary["test/tau_at_least"]
    after = {path: path.stat().st_mtime_ns for path in workplace.glob("outputs/learning_speed/*/metrics.csv")}
    assert after == before


@pytest.mark.slow
def test_agents_script_runs_seeds_as_one_wandb_run(workplace, backend, request):
    """sweeps/agents.sh with two agents: each of the search's runs is an ensemble of seeds with one mean τ."""
    path = make_tiny(
        workplace,
        request.config.rootpath,
        "learning_rate",
        ["ensemble.seeds=3", "ensemble.inits=null", "ensemble.learning_rates=null", "scale=quick", "model.depth=3"],
    )
    sweep = start_sweep(workplace, backend, path)
    (workplace / "sweeps").mkdir()
    script = workplace / "sweeps" / "agents.sh"
    script.write_bytes((request.config.rootpath / "sweeps" / "agents.sh").read_bytes())
    backend.jobs = [{"init.scheme": "orthogonal", "optimizer.lr": rate} for rate in (0.0123, 0.456)]
    code, printed = run(workplace, backend, "env", "AGENTS=2", "CUDA_VISIBLE_DEVICES=", "bash", str(script), sweep)
    logs = sorted((workplace / "outputs" / "agents" / "sweep").glob("*.log"))
    assert code == 0, printed + "".join(log.read_text() for log in logs)
    assert len(logs) == 2 and printed.count("on device none") == 2
    assert set(backend.runs) == {"agents1", "agents2"} and not backend.unknown
    assert backend.artifact_files >= {"metrics.csv", "replicas.csv"}
    for recorded in backend.runs.values():
        assert recorded.is_finished and recorded.config["ensemble"]["seeds"] == 3
        assert "train/loss" in recorded.history[0] and "train/loss/lower" in recorded.history[0]
        assert 0 <= recorded.summary["train/censored"] <= 1
        assert 0 <= recorded.summary["train/tau_at_least"] <= 6
